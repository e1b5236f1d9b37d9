package main

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/alecthomas/kong"
)

// verbatim has kong take strings, and paths, as they were typed. Its own mappers send them
// through JSON, which replaces what is not UTF-8: the name of a file may be any bytes. And
// a list from a setting would be strings whatever its flag takes: ~ would stay ~.
func verbatim() kong.Option {
	word := kong.MapperFunc(func(ctx *kong.DecodeContext, target reflect.Value) error {
		typed, err := ctx.Scan.PopValue("string")
		if err == nil {
			target.SetString(typed.String())
		}
		return err
	})
	all := kong.NewRegistry().RegisterDefaults().RegisterKind(reflect.String, word)
	list := kong.MapperFunc(func(ctx *kong.DecodeContext, target reflect.Value) error {
		one := all.ForType(target.Type())
		words, several := ctx.Scan.Peek().Value.([]any)
		if !several || ctx.Value.Tag.Sep != -1 {
			return one.Decode(ctx, target)
		}
		ctx.Scan.Pop()
		for _, w := range words {
			if err := one.Decode(ctx.WithScanner(kong.Scan().PushTyped(w, kong.FlagValueToken)), target); err != nil {
				return err
			}
		}
		return nil
	})
	path := kong.MapperFunc(func(ctx *kong.DecodeContext, target reflect.Value) error {
		if target.Kind() == reflect.Slice {
			return list(ctx, target)
		}
		err := word(ctx, target)
		if err == nil {
			target.SetString(kong.ExpandPath(atHome(target.String())))
		}
		return err
	})
	all.RegisterName("path", path) // for each of a list
	return kong.OptionFunc(func(k *kong.Kong) error {
		return errors.Join(kong.KindMapper(reflect.String, word).Apply(k), kong.KindMapper(reflect.Slice, list).Apply(k), kong.NamedMapper("path", path).Apply(k))
	})
}

// atHome is a path in the home folder, as a shell has it: kong asks who the user is.
func atHome(path string) string {
	rest, found := strings.CutPrefix(path, "~/")
	if home, err := os.UserHomeDir(); found && err == nil {
		return filepath.Join(home, rest)
	}
	return path
}

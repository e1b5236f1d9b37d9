package main

import (
	"errors"
	"reflect"

	"github.com/alecthomas/kong"
)

// verbatim has kong take strings, and paths, as they were typed. Its own mappers send them
// through JSON, which replaces what is not UTF-8: the name of a file may be any bytes.
func verbatim() kong.Option {
	word := kong.MapperFunc(func(ctx *kong.DecodeContext, target reflect.Value) error {
		typed, err := ctx.Scan.PopValue("string")
		if err == nil {
			target.SetString(typed.String())
		}
		return err
	})
	all := kong.NewRegistry().RegisterDefaults()
	path := kong.MapperFunc(func(ctx *kong.DecodeContext, target reflect.Value) error {
		if target.Kind() == reflect.Slice {
			return all.ForType(target.Type()).Decode(ctx, target)
		}
		err := word(ctx, target)
		if err == nil {
			target.SetString(kong.ExpandPath(target.String()))
		}
		return err
	})
	all.RegisterName("path", path) // for each of a list
	return kong.OptionFunc(func(k *kong.Kong) error {
		return errors.Join(kong.KindMapper(reflect.String, word).Apply(k), kong.NamedMapper("path", path).Apply(k))
	})
}

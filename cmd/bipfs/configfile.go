package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/alecthomas/kong"
)

const (
	// longestConfig is the most bytes of a configuration that are read.
	longestConfig = 64 << 10
	// mostValueLines is how many lines one value may have.
	mostValueLines = 256
)

// readConfig adds the settings of a file in TOML. Its keys are the names of flags.
// Errors name the file and the line.
func readConfig(path string, known map[string]*kong.Flag, into settings) error {
	text, err := readBounded(path)
	if err != nil {
		return err
	}
	return parseConfig(path, text, known, into)
}

// readBounded reads a file of at most longestConfig bytes.
func readBounded(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, longestConfig+1))
	if err != nil {
		return "", err
	}
	if len(b) > longestConfig {
		return "", fmt.Errorf("%s is longer than %v", path, Size(longestConfig))
	}
	return string(b), nil
}

// parseConfig goes through the text one assignment at a time, because the parser does
// not say in which line a key stands: an assignment is as many lines as it takes until
// they can be parsed by themselves.
func parseConfig(path, text string, known map[string]*kong.Flag, into settings) error {
	at := func(line int, err error) error { return fmt.Errorf("%s, line %d: %w", path, line, err) }
	if _, err := toml.Decode(text, new(map[string]any)); err != nil {
		var wrong toml.ParseError
		if errors.As(err, &wrong) {
			return at(max(wrong.Position.Line, 1), errors.New(wrong.Message))
		}
		return fmt.Errorf("%s: %w", path, err)
	}
	var pending strings.Builder
	first, here := 1, map[string]int{}
	number := 0
	for line := range strings.Lines(text) {
		number++
		pending.WriteString(line)
		found := map[string]any{}
		if _, err := toml.Decode(pending.String(), &found); err != nil {
			if number-first >= mostValueLines {
				return at(first, fmt.Errorf("the value has more than %d lines", mostValueLines))
			}
			continue
		}
		for key, value := range found { // one at most
			if before := here[key]; before > 0 {
				return at(first, fmt.Errorf("%s stands in line %d already", key, before))
			}
			here[key] = first
			v, err := flagValue(key, value, known)
			if err != nil {
				return at(first, err)
			}
			into[key] = setting{v, fmt.Sprintf("%s, line %d", path, first)}
		}
		pending.Reset()
		first = number + 1
	}
	return nil
}

// flagValue is a value of TOML as the flag of that name reads it.
func flagValue(key string, value any, known map[string]*kong.Flag) (any, error) {
	flag := known[key]
	if _, ok := value.(map[string]any); ok {
		return nil, fmt.Errorf("%s: there are no sections and no keys with dots: the keys are the names of the flags of bipfs mount", key)
	}
	if flag == nil {
		return nil, fmt.Errorf("%s is not a key%s; the keys are the names of the flags of bipfs mount", shortened(key), similar(key, known))
	}
	v, ok := scalar(value)
	list, isList := value.([]any)
	switch _, isBool := value.(bool); {
	case flag.IsSlice() && isList:
		all := []any{}
		for _, o := range list {
			s, isString := o.(string)
			if !isString {
				return nil, fmt.Errorf("%s: it takes %s", key, form(flag))
			}
			all = append(all, s)
		}
		v = all
	case flag.IsSlice() && ok && flag.Tag.Sep == -1:
		v = []any{v}
	case !ok, isBool != flag.IsBool():
		return nil, fmt.Errorf("%s: it takes %s", key, orString(form(flag)))
	}
	if err := admits(flag, v); err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return v, nil
}

func orString(form string) string {
	if form == "" {
		return "a string"
	}
	return form
}

// scalar is a simple value as it is written on a command line.
func scalar(value any) (any, bool) {
	switch value := value.(type) {
	case string:
		return value, true
	case bool, int64, float64:
		return fmt.Sprint(value), true
	}
	return nil, false
}

// similar asks whether a key was meant that differs in what is easily mistaken.
func similar(key string, known map[string]*kong.Flag) string {
	plain := func(s string) string {
		return strings.TrimSuffix(strings.NewReplacer("_", "", "-", "").Replace(strings.ToLower(s)), "s")
	}
	var close []string
	for name := range known {
		if plain(name) == plain(key) {
			close = append(close, name)
		}
	}
	if len(close) == 0 {
		return ""
	}
	slices.Sort(close)
	return " (is " + strings.Join(close, " or ") + " meant?)"
}

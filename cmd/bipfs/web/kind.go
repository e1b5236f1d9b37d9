package web

import (
	"mime"
	"net/http"
	"path"
	"strings"
)

// A kind is what a file is taken for, by its name alone: nothing is fetched to
// find out, and no table of the system is asked.
type kind struct {
	media string // its type
	class class
}

// class is what a page does with a file.
type class string

// All others are attachments: a browser that is given HTML, SVG, XML or PDF by us
// runs what a stranger wrote.
const (
	video      class = "video"
	audio      class = "audio"
	image      class = "image"
	plain      class = "text"
	subtitles  class = "subtitles"
	attachment class = "file"
)

var kinds = map[string]kind{
	".mp4": {"video/mp4", video}, ".m4v": {"video/mp4", video}, ".webm": {"video/webm", video},
	".mkv": {"video/x-matroska", video}, ".mov": {"video/quicktime", video}, ".ogv": {"video/ogg", video},
	".avi": {"video/x-msvideo", video}, ".mpg": {"video/mpeg", video}, ".mpeg": {"video/mpeg", video},
	".ts": {"video/mp2t", video}, ".m2ts": {"video/mp2t", video}, ".3gp": {"video/3gpp", video},
	".wmv": {"video/x-ms-wmv", video}, ".flv": {"video/x-flv", video},

	".mp3": {"audio/mpeg", audio}, ".m4a": {"audio/mp4", audio}, ".m4b": {"audio/mp4", audio}, ".flac": {"audio/flac", audio},
	".ogg": {"audio/ogg", audio}, ".oga": {"audio/ogg", audio}, ".opus": {"audio/ogg", audio}, ".aac": {"audio/aac", audio},
	".wav": {"audio/wav", audio}, ".weba": {"audio/webm", audio}, ".mka": {"audio/x-matroska", audio},

	".jpg": {"image/jpeg", image}, ".jpeg": {"image/jpeg", image}, ".png": {"image/png", image}, ".gif": {"image/gif", image},
	".webp": {"image/webp", image}, ".avif": {"image/avif", image}, ".bmp": {"image/bmp", image},

	".txt": {plainType, plain}, ".log": {plainType, plain}, ".md": {plainType, plain}, ".nfo": {plainType, plain},
	".cue": {plainType, plain}, ".srt": {plainType, plain}, ".ass": {plainType, plain}, ".sfv": {plainType, plain},
	".vtt": {"text/vtt; charset=utf-8", subtitles},
}

const plainType = "text/plain; charset=utf-8"

// kindOf is the kind of a file with a name.
func kindOf(name string) kind {
	if k, ok := kinds[strings.ToLower(path.Ext(name))]; ok {
		return k
	}
	return kind{"application/octet-stream", attachment}
}

// playable reports whether the page has a player for it.
func (k kind) playable() bool { return k.class == video || k.class == audio }

// label says to a browser what the bytes of a file are, and that they are nobody's
// who could do anything here.
func label(h http.Header, name string) {
	k := kindOf(name)
	h.Set("Content-Type", k.media)
	h.Set("Content-Security-Policy", "sandbox")
	h.Set("X-Content-Type-Options", "nosniff")
	how := "inline"
	if k.class == attachment {
		how = "attachment"
	}
	h.Set("Content-Disposition", disposition(how, name))
}

// disposition is the header for a name. What cannot be said of it is left out.
func disposition(how, name string) string {
	if v := mime.FormatMediaType(how, map[string]string{"filename": strings.ToValidUTF8(name, "_")}); v != "" {
		return v
	}
	return how
}

package message

import "time"

// Expiry reads when a token expires, as a message says it: milliseconds since 1970
// or seconds, as a number or a text. It reports false if that is no date.
func Expiry(v any) (time.Time, bool) {
	s, _ := text(v)
	f, ok := number(s)
	if !ok || f < firstDate {
		return time.Time{}, false
	}
	return date(f), true
}

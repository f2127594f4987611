package conf

import (
	"fmt"
	"io"
	"log/slog"
)

const masked = "***"

// Secret is a value that does not show itself: however it is printed, logged or
// marshalled, it reads ***. An empty one reads as empty, so that one can see
// that it is missing.
type Secret struct{ value string }

// NewSecret hides s.
func NewSecret(s string) Secret { return Secret{s} }

// Reveal returns what is hidden.
func (s Secret) Reveal() string { return s.value }

// IsZero reports whether nothing is hidden.
func (s Secret) IsZero() bool { return s.value == "" }

func (s Secret) String() string {
	if s.value == "" {
		return ""
	}
	return masked
}

// Format implements fmt.Formatter: %x and %#v would get at the field otherwise.
func (s Secret) Format(f fmt.State, _ rune) { io.WriteString(f, s.String()) }

// MarshalText implements encoding.TextMarshaler, and so JSON's.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

package diff

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/microgw/microgw/schema/artifactpb"
)

// flat is all that is set in a message, as "name value" in the order of its
// fields. It is how settings are compared that have no comparison of their own,
// so that a field which is new in the schema is never overlooked.
func flat(m proto.Message) []string {
	var out []string
	var walk func(prefix string, m protoreflect.Message)
	walk = func(prefix string, m protoreflect.Message) {
		fields := m.Descriptor().Fields()
		for i := range fields.Len() {
			f := fields.Get(i)
			if !m.Has(f) {
				continue
			}
			name := prefix + strings.ReplaceAll(string(f.Name()), "_", " ")
			one := func(name string, v protoreflect.Value) {
				if f.Message() == nil {
					out = append(out, strings.TrimSpace(name+" "+scalar(f, v)))
					return
				}
				before := len(out)
				walk(name+" ", v.Message())
				if len(out) == before {
					out = append(out, name) // it is there, and that is all it says
				}
			}
			if !f.IsList() {
				one(name, m.Get(f))
				continue
			}
			list := m.Get(f).List()
			if f.Message() == nil {
				words := make([]string, list.Len())
				for i := range words {
					words[i] = scalar(f, list.Get(i))
				}
				out = append(out, name+" "+strings.Join(words, " "))
				continue
			}
			for i := range list.Len() {
				one(name+" "+strconv.Itoa(i+1), list.Get(i))
			}
		}
	}
	walk("", m.ProtoReflect())
	return out
}

func scalar(f protoreflect.FieldDescriptor, v protoreflect.Value) string {
	switch f.Kind() {
	case protoreflect.EnumKind:
		d := f.Enum().Values().ByNumber(v.Enum())
		if d == nil {
			return strconv.Itoa(int(v.Enum()))
		}
		// The values of COUNTER_FAILURE all begin with that.
		prefix := strings.TrimSuffix(string(f.Enum().Values().ByNumber(0).Name()), "UNSPECIFIED")
		return word(string(d.Name()), prefix)
	case protoreflect.BytesKind:
		return hex.EncodeToString(v.Bytes())
	case protoreflect.BoolKind:
		return ""
	}
	return fmt.Sprint(v.Interface())
}

// kindOf is the name of a stage's kind.
func kindOf(s *artifactpb.Stage) string {
	if f := kindField(s); f != nil {
		return strings.ReplaceAll(string(f.Name()), "_", " ")
	}
	return s.GetName()
}

func kindField(s *artifactpb.Stage) protoreflect.FieldDescriptor {
	m := s.ProtoReflect()
	return m.WhichOneof(m.Descriptor().Oneofs().ByName("kind"))
}

func kindMessage(s *artifactpb.Stage) proto.Message {
	if f := kindField(s); f != nil {
		return s.ProtoReflect().Get(f).Message().Interface()
	}
	return &artifactpb.Stage{}
}

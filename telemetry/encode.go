package telemetry

import (
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// encode encodes a message. One text that is no UTF-8 would have it refused, and with it all spans of a
// request, which are of many callers and plugins. So such texts are mended.
func encode(m proto.Message) ([]byte, error) {
	body, err := proto.Marshal(m)
	if err != nil {
		mend(m.ProtoReflect())
		body, err = proto.Marshal(m)
	}
	return body, err
}

// mend puts a character for those that there are not into all texts of a message.
func mend(m protoreflect.Message) {
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.IsList():
			list := value.List()
			for i := range list.Len() {
				if to, ok := mended(field, list.Get(i)); ok {
					list.Set(i, to)
				}
			}
		case !field.IsMap(): // OTLP has no maps
			if to, ok := mended(field, value); ok {
				m.Set(field, to)
			}
		}
		return true
	})
}

// mended returns what to put for a value, if it is a text to be mended.
func mended(field protoreflect.FieldDescriptor, value protoreflect.Value) (to protoreflect.Value, ok bool) {
	switch field.Kind() { //nolint:exhaustive // others have no text
	case protoreflect.MessageKind:
		mend(value.Message())
	case protoreflect.StringKind:
		if text := value.String(); !utf8.ValidString(text) {
			return protoreflect.ValueOfString(strings.ToValidUTF8(text, "\uFFFD")), true
		}
	}
	return to, false
}

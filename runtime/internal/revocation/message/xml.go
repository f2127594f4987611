package message

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
)

// xmlMap reads a map as XStream writes it:
//
//	<map><entry><string>ttl</string><long>10000</long></entry></map>
//
// The element's name is the value's type, of which only the text counts.
// encoding/xml knows no entities but the five of XML itself, so there is nothing
// that could expand.
func xmlMap(body []byte) (map[string]any, error) {
	d := xml.NewDecoder(bytes.NewReader(body))
	members := map[string]any{}
	depth := 0
	var pair []string
	var value []byte
	for {
		t, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			// Its own words hold names out of the message, which may be anything.
			return nil, fmt.Errorf("XML: not well-formed at byte %d", d.InputOffset())
		}
		switch t := t.(type) {
		case xml.StartElement:
			depth++
			switch {
			case depth == 1 && t.Name.Local != "map", depth == 2 && t.Name.Local != "entry":
				return nil, errors.New("XML: not a map")
			case depth > maxDepth:
				return nil, errors.New("XML: too deep")
			case depth == 2:
				pair = pair[:0]
			case depth == 3:
				value = value[:0]
			}
		case xml.CharData:
			if depth == 3 {
				value = append(value, t...)
			}
		case xml.EndElement:
			switch depth {
			case 3:
				pair = append(pair, string(value))
			case 2:
				if len(pair) == 2 {
					members[pair[0]] = pair[1]
				}
				if len(members) > maxItems {
					return nil, errors.New("XML: too many entries")
				}
			}
			depth--
		}
	}
	return members, nil
}

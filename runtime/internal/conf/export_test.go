package conf

import "strings"

// UnusedNames returns WSO2's keys that have no effect, for a test that each of
// them is read.
func UnusedNames() []string {
	all := make([]string, 0, len(unusedKeys))
	for _, u := range unusedKeys {
		all = append(all, u.name)
	}
	return all
}

// Names returns the keys that have an effect, with their old spellings.
func Names() []string {
	var all []string
	for _, k := range configKeys {
		all = append(append(all, k.name), k.old...)
	}
	for _, k := range issuerKeys {
		all = append(all, issuerTable+"."+k.name)
	}
	for _, r := range rowTables {
		r.each(func(name string, old []string) {
			for _, n := range append([]string{name}, old...) {
				all = append(all, strings.NewReplacer(".#", "", "*", "somebody").Replace(r.pattern())+"."+n)
			}
		})
	}
	return all
}

// Types returns the type of each key that has an effect, by its name.
func Types() map[string]string {
	all := map[string]string{}
	for _, k := range configKeys {
		for _, n := range append([]string{k.name}, k.old...) {
			all[n] = k.codec.typ
		}
	}
	for _, k := range issuerKeys {
		all[issuerTable+"."+k.name] = k.codec.typ
	}
	for _, r := range rowTables {
		r.types(func(name, typ string) { all[name] = typ })
	}
	return all
}

// LoadAlone is Load without looking at what values are together.
func LoadAlone(o Options) error {
	_, err := load(o, false)
	return err
}

package conf

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
	return all
}

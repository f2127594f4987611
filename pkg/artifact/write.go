package artifact

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/microgw/microgw/schema/artifactpb"
)

// Write puts the artifact at path, replacing what is there in one step: a
// reader sees the old file or the new one, whole, also after a crash. If Write
// fails, the old file is untouched and nothing is left beside it. Its error
// begins with path.
func Write(path string, a *artifactpb.Artifact) error {
	data, err := Marshal(a)
	return write(path, data, err)
}

// WriteSigned is Write with a signature made by key.
func WriteSigned(path string, a *artifactpb.Artifact, key ed25519.PrivateKey) error {
	data, err := Marshal(a)
	if err == nil {
		data, err = Sign(data, key)
	}
	return write(path, data, err)
}

// write puts data at path unless making it failed.
func write(path string, data []byte, err error) error {
	if err == nil {
		err = replace(path, data)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func replace(path string, data []byte) (err error) {
	// A rename would put a file in the place of /dev/null, or of the link that
	// /dev/stdout is.
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		return errors.New("not a regular file")
	}
	dir := filepath.Dir(path)
	// In the same folder, because a rename is atomic only within a file
	// system. The dot keeps it out of globs such as *.mgw.
	tmp, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return withoutPath(err)
	}
	defer func() {
		if err != nil {
			tmp.Close() // again, perhaps; that does no harm
			os.Remove(tmp.Name())
			err = withoutPath(err)
		}
	}()
	if _, err = tmp.Write(data); err != nil {
		return err
	}
	// CreateTemp makes files for their owner alone. An artifact holds no
	// secrets, and the runtime often is another user than the builder.
	if err = tmp.Chmod(0o644); err != nil {
		return err
	}
	// Without this some file systems carry out the rename before the data is
	// on disk, and a crash leaves an empty file under the right name.
	if err = tmp.Sync(); err != nil {
		return err
	}
	if err = tmp.Close(); err != nil {
		return err
	}
	if err = os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	// Makes the rename last. The file is whole either way, so a file system
	// that cannot sync a folder is no reason to fail.
	if d, err := os.Open(dir); err == nil {
		d.Sync()
		d.Close()
	}
	return nil
}

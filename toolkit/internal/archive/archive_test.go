package archive_test

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io/fs"
	"path"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/microgw/microgw/toolkit/internal/archive"
)

type file struct {
	header  zip.FileHeader
	content string
}

func plain(name, content string) file {
	return file{zip.FileHeader{Name: name, Method: zip.Deflate}, content}
}

func pack(t testing.TB, files ...file) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, f := range files {
		w, err := z.CreateHeader(&f.header)
		if err == nil {
			_, err = w.Write([]byte(f.content))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func read(data []byte) (archive.Content, error) {
	return archive.Read(bytes.NewReader(data), int64(len(data)))
}

var good = []file{plain("A-1/Meta-information/api.json", "{}"), plain("A-1/Meta-information/swagger.yaml", "swagger: '2.0'")}

func TestLayouts(t *testing.T) {
	for _, names := range [][2]string{
		{"A-1/Meta-information/api.json", "A-1/Meta-information/swagger.json"},
		{"A-1/Meta-information/api.yaml", "A-1/Meta-information/swagger.yaml"},
		{"A-1/Meta-information/api.json", "A-1/Meta-information/swagger.yaml"},
		{"Größe 1/api.yaml", "Größe 1/Definitions/swagger.yaml"},
		{"A-1/api.json", "A-1/Definitions/swagger.json"},
	} {
		top, _, _ := strings.Cut(names[0], "/")
		c, err := read(pack(t, plain(top+"/", ""), plain(names[0], "meta"), plain(names[1], "definition"), plain(top+"/Docs/read me.txt", "x")))
		if err != nil || c.Folder != top || c.DescribedIn != names[0] || c.DefinitionFile != names[1] || string(c.Description) != "meta" || string(c.Definition) != "definition" {
			t.Errorf("%q: %+v, %v", names, c, err)
		}
	}
}

// What no export has is refused as a whole, wherever in the archive it is.
func TestRefused(t *testing.T) {
	link := plain("A-1/link", "/etc/passwd")
	link.header.SetMode(fs.ModeSymlink | 0o777)
	device := plain("A-1/device", "")
	device.header.SetMode(fs.ModeDevice | 0o666)
	folderAsFile := plain("A-1/x", "")
	folderAsFile.header.SetMode(fs.ModeDir | 0o777)
	latin := plain("A-1/gr\xf6\xdfe.txt", "")
	latin.header.NonUTF8 = true
	secret := plain("A-1/secret", "x")
	zeros := plain("A-1/zeros", strings.Repeat("\x00", 2<<20))
	large := plain("A-1/api.yaml", "")
	many := append([]file{}, good...)
	for range 10_000 {
		many = append(many, file{zip.FileHeader{Name: "A-1/d"}, ""})
	}
	encrypted := pack(t, append(good, secret)...)
	for i := 0; ; i++ { // set bit 0 of the flags, in the directory at the end
		at := bytes.Index(encrypted[i:], []byte("PK\x01\x02"))
		if at < 0 {
			break
		}
		i += at
		encrypted[i+8] |= 1
	}
	liar := pack(t, file{zip.FileHeader{Name: "A-1/api.yaml", Method: zip.Store}, "four"}, plain("A-1/Definitions/swagger.yaml", "x"))
	at := bytes.Index(liar, []byte("PK\x01\x02"))
	binary.LittleEndian.PutUint32(liar[at+16:], crc32.ChecksumIEEE([]byte("five")))
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"climbs":            {pack(t, append(good, plain("A-1/../../etc/passwd", ""))...), `the name "A-1/../../etc/passwd" leads somewhere else`},
		"climbs first":      {pack(t, append(good, plain("../x", ""))...), `the name "../x" leads somewhere else`},
		"absolute":          {pack(t, append(good, plain("/A-1/x", ""))...), `the name "/A-1/x" leads somewhere else`},
		"backslash":         {pack(t, append(good, plain(`A-1\x`, ""))...), `the name "A-1\\x" leads somewhere else`},
		"drive":             {pack(t, append(good, plain("C:x", ""))...), `the name "C:x" leads somewhere else`},
		"dot":               {pack(t, append(good, plain("A-1/./x", ""))...), `the name "A-1/./x" leads somewhere else`},
		"double slash":      {pack(t, append(good, plain("A-1//x", ""))...), `the name "A-1//x" leads somewhere else`},
		"NUL":               {pack(t, append(good, plain("A-1/x\x00.yaml", ""))...), `the name "A-1/x\x00.yaml" leads somewhere else`},
		"right to left":     {pack(t, append(good, plain("A-1/\u202elmay.x", ""))...), `the name "A-1/\u202elmay.x" leads somewhere else`},
		"not UTF-8":         {pack(t, append(good, latin)...), `the name "A-1/gr\xf6\xdfe.txt" is not UTF-8`},
		"symbolic link":     {pack(t, append(good, link)...), `"A-1/link" is a symbolic link`},
		"device":            {pack(t, append(good, device)...), `"A-1/device" is neither a file nor a folder`},
		"folder as file":    {pack(t, append(good, folderAsFile)...), `"A-1/x" is neither a file nor a folder`},
		"encrypted":         {encrypted, `"A-1/Meta-information/api.json" is encrypted`},
		"twice":             {pack(t, append(good, plain("A-1/Meta-information/api.json", "{ }"))...), `"A-1/Meta-information/api.json" is in it twice, beside "A-1/Meta-information/api.json"`},
		"twice but case":    {pack(t, append(good, plain("A-1/Meta-information/API.json", "{ }"))...), `"A-1/Meta-information/API.json" is in it twice, beside "A-1/Meta-information/api.json"`},
		"file and folder":   {pack(t, append(good, plain("A-1/a", ""), plain("A-1/a/b", ""))...), `"A-1/a" is a file and a folder`},
		"two folders":       {pack(t, append(good, plain("B/x", ""))...), `two folders at its top: "A-1" and "B"`},
		"no folder":         {pack(t, plain("api.yaml", "")), `"api.yaml" is not in the archive's folder`},
		"bomb":              {pack(t, append(good, zeros)...), `"A-1/zeros" would become more than 200 times as large: it is a bomb`},
		"many files":        {pack(t, many...), "more than 10000 files in it"},
		"nothing":           {pack(t), "nothing is in it"},
		"no API":            {pack(t, plain("A-1/x", "")), "not an API archive: neither Meta-information/api.json (or .yaml) nor api.yaml (or .json) is in its folder"},
		"no definition":     {pack(t, large, plain("A-1/Definitions/schema.graphql", "")), "it has A-1/api.yaml, but no definition (Definitions/swagger.yaml or Definitions/swagger.json): is it an API with OpenAPI?"},
		"two descriptions":  {pack(t, append(good, plain("A-1/Meta-information/api.yaml", ""))...), `both "A-1/Meta-information/api.json" and "A-1/Meta-information/api.yaml" are in it`},
		"wrong check sum":   {liar, `"A-1/api.yaml": zip: checksum error`},
		"cut":               {pack(t, good...)[:100], "not a zip archive, or a broken one: zip: not a valid zip file"},
		"something else":    {[]byte("Buy milk."), "not a zip archive, or a broken one: zip: not a valid zip file"},
		"nothing whatever":  {nil, "not a zip archive, or a broken one: zip: not a valid zip file"},
		"a name with a tab": {pack(t, append(good, plain("A-1/\t", ""))...), `the name "A-1/\t" leads somewhere else`},
	} {
		if _, err := read(c.data); err == nil || err.Error() != c.want {
			t.Errorf("%s:\n got %v\nwant %s", name, err, c.want)
		}
	}
	if _, err := archive.Read(bytes.NewReader(nil), archive.MaxSize+1); err == nil || err.Error() != "larger than 256 MiB" {
		t.Errorf("larger: %v", err)
	}
}

// A header may promise less than comes out, or more.
func TestLyingSizes(t *testing.T) {
	for _, size := range []uint32{0, 1, 1 << 20} {
		data := pack(t, good...)
		at := bytes.Index(data, []byte("PK\x01\x02"))
		binary.LittleEndian.PutUint32(data[at+24:], size)
		if c, err := read(data); err == nil {
			t.Errorf("%d bytes promised: %q", size, c.Description)
		}
	}
}

// Whatever is accepted names two files of one folder, within the limits.
func FuzzRead(f *testing.F) {
	f.Add(pack(f, good...))
	f.Add(pack(f, plain("A/api.yaml", "a"), plain("A/Definitions/swagger.yaml", "b")))
	f.Add(pack(f, plain("A/../api.yaml", "a")))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := read(data)
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				t.Errorf("it looked for a file: %v", err)
			}
			return
		}
		for _, name := range []string{c.DescribedIn, c.DefinitionFile} {
			if !utf8.ValidString(name) || name != path.Clean(name) || !fs.ValidPath(name) || !strings.HasPrefix(name, c.Folder+"/") {
				t.Errorf("the name %q", name)
			}
		}
	})
}

// Command schemagen checks the .proto files of the schema module and writes
// the Go code for them. It needs no protoc: the compiler is a library.
//
//	schemagen -root ../schema          write the code
//	schemagen -root ../schema -check   check only, and that the code is current
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/linker"
	"github.com/bufbuild/protocompile/protoutil"
	"github.com/bufbuild/protocompile/reporter"
	"google.golang.org/protobuf/cmd/protoc-gen-go/internal_gengo"
	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

const module = "github.com/microgw/microgw/schema"

func main() {
	root := flag.String("root", ".", "`folder` of the schema module")
	check := flag.Bool("check", false, "write nothing; fail if something would change")
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(*root, *check); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(root string, check bool) error {
	var names []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && filepath.Ext(path) == ".proto" {
			var name string
			name, err = filepath.Rel(root, path)
			names = append(names, filepath.ToSlash(name))
		}
		return err
	})
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return fmt.Errorf("no .proto file under %s", root)
	}
	files, err := compile(root, names)
	if err != nil {
		return err
	}
	var problems []string
	for _, f := range files {
		problems = append(problems, lint(f)...)
	}
	if len(problems) > 0 {
		return errors.New(strings.Join(problems, "\n"))
	}
	generated, err := generate(files)
	if err != nil {
		return err
	}
	for name, content := range generated {
		path := filepath.Join(root, filepath.FromSlash(name))
		if check {
			if have, err := os.ReadFile(path); err != nil || !bytes.Equal(have, content) {
				problems = append(problems, path+": not what its .proto file says; run make generate")
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return err
		}
	}
	if len(problems) > 0 {
		return errors.New(strings.Join(problems, "\n"))
	}
	return nil
}

// compile reads the named files. Warnings, such as of an unused import, are
// errors.
func compile(root string, names []string) (linker.Files, error) {
	var problems []error
	note := func(err reporter.ErrorWithPos) { problems = append(problems, err) }
	compiler := protocompile.Compiler{
		Resolver:       protocompile.WithStandardImports(&protocompile.SourceResolver{ImportPaths: []string{root}}),
		SourceInfoMode: protocompile.SourceInfoStandard, // for the comments
		Reporter:       reporter.NewReporter(func(err reporter.ErrorWithPos) error { note(err); return nil }, note),
	}
	files, err := compiler.Compile(context.Background(), names...)
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return files, err
}

// generate returns the content of the generated files by their paths within
// the module.
func generate(files linker.Files) (map[string][]byte, error) {
	req := &pluginpb.CodeGeneratorRequest{Parameter: proto.String("module=" + module)}
	for _, f := range files {
		req.FileToGenerate = append(req.FileToGenerate, f.Path())
		req.ProtoFile = appendFile(req.ProtoFile, f)
	}
	plugin, err := protogen.Options{}.New(req)
	if err != nil {
		return nil, err
	}
	for _, f := range plugin.Files {
		if f.Generate {
			internal_gengo.GenerateFile(plugin, f)
		}
	}
	resp := plugin.Response()
	if resp.Error != nil {
		return nil, errors.New(resp.GetError())
	}
	out := make(map[string][]byte)
	for _, f := range resp.GetFile() {
		out[f.GetName()] = []byte(f.GetContent())
	}
	return out, nil
}

// appendFile appends f after everything that it imports, as plug-ins want it.
func appendFile(list []*descriptorpb.FileDescriptorProto, f linker.File) []*descriptorpb.FileDescriptorProto {
	for _, have := range list {
		if have.GetName() == f.Path() {
			return list
		}
	}
	for i := range f.Imports().Len() {
		list = appendFile(list, f.FindImportByPath(f.Imports().Get(i).Path()))
	}
	return append(list, protoutil.ProtoFromFileDescriptor(f))
}

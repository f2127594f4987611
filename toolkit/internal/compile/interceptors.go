package compile

import (
	"cmp"
	"fmt"

	"github.com/microgw/microgw/schema/artifactpb"
	"github.com/microgw/microgw/toolkit/internal/interceptor"
	"github.com/microgw/microgw/toolkit/internal/spec"
)

// Interceptors of the API and of the operation add up. A request meets the API's
// first and a response the operation's, so that the API's is the outer one both
// times; where both name the same, it runs once, in the operation's place (WSO2
// 3.x). The path's stands in for the operation's.
//
// Whatever a name stands for has to be there, and once: WSO2 finds that out at
// build for its own functions, and when a call comes in for Java classes.

func (a *api) interceptors(op *spec.Operation, out *artifactpb.Operation) {
	own, item, api := op.Extensions, op.PathItem, a.doc.Extensions
	var first *spec.Text // of the operation's own
	choose := func(d interceptor.Direction, own, item, api *spec.Text) (list []uint32) {
		if own == nil {
			own = item
		}
		for _, name := range []*spec.Text{api, own} {
			if name == nil || name == api && own != nil && own.Value == api.Value {
				continue
			}
			if i, ok := a.interceptor(name, d); ok {
				list = append(list, i)
				if name == own {
					first = cmp.Or(first, name)
				}
			}
		}
		return list
	}
	out.RequestInterceptors = choose(interceptor.Request, own.Request, item.Request, api.Request)
	out.ResponseInterceptors = choose(interceptor.Response, own.Response, item.Response, api.Response)
	if r := out.ResponseInterceptors; len(r) == 2 {
		r[0], r[1] = r[1], r[0]
	}
	if first != nil {
		a.lacks(first.At, false, Interceptors)
	}
}

// interceptor adds an interceptor to the artifact, or finds it there. The second
// result is false if there is no such interceptor, which is reported.
func (a *api) interceptor(name *spec.Text, d interceptor.Direction) (uint32, bool) {
	key := d.String() + " " + name.Value
	if i, ok := a.c.interceptors[key]; ok {
		return i, true
	}
	pb := &artifactpb.Interceptor{Name: name.Value, Direction: artifactpb.InterceptorDirection_INTERCEPTOR_DIRECTION_REQUEST}
	if d == interceptor.Response {
		pb.Direction = artifactpb.InterceptorDirection_INTERCEPTOR_DIRECTION_RESPONSE
	}
	ref, problem, hint := interceptor.Parse(name.Value)
	switch {
	case problem != "":
	case ref.Kind == interceptor.Function:
		problem, hint = a.function(ref, d, pb)
	case ref.Kind == interceptor.Class:
		problem, hint = a.class(ref, name, pb)
	case ref.Kind == interceptor.Hub:
		pb.Kind = &artifactpb.Interceptor_Hub{Hub: &artifactpb.HubFunction{
			Organisation: ref.Organisation, Module: ref.Module, Version: ref.Version, Function: ref.Name,
		}}
	}
	if problem != "" {
		if a.once("interceptor " + name.At.String()) {
			a.c.diags.ErrorHint(name.At, hint, "%s", problem)
		}
		return 0, false
	}
	i := uint32(len(a.c.out.Interceptors))
	a.c.interceptors[key] = i
	a.c.out.Interceptors = append(a.c.out.Interceptors, pb)
	return i, true
}

// function looks a function of the project up.
func (a *api) function(ref interceptor.Ref, d interceptor.Direction, pb *artifactpb.Interceptor) (problem, hint string) {
	lib := a.c.in.Interceptors
	all := lib.Functions(ref.Name)
	var found []interceptor.Found
	for _, f := range all {
		if f.For(d) {
			found = append(found, f)
		}
	}
	switch {
	case len(all) == 0 && lib.Incomplete():
		return "", "" // the file that cannot be read may have it
	case len(all) == 0:
		hint := a.c.spell.DidYouMean(ref.Name, func() []string { return lib.Names(interceptor.Function) })
		if hint == "" {
			hint = "put a WebAssembly module that exports it into interceptors, or Ballerina source that declares it"
		}
		return fmt.Sprintf("no function %q in interceptors", ref.Name), hint
	case len(found) == 0:
		other := map[interceptor.Direction]string{interceptor.Request: "responses", interceptor.Response: "requests"}[d]
		return fmt.Sprintf("the function %q is for %s, by its parameters: %s", ref.Name, other, all[0].At()), ""
	case len(found) > 1:
		return fmt.Sprintf("the function %q is there twice: %s and %s", ref.Name, found[0].At(), found[1].At()), "give one of them another name"
	}
	f := found[0]
	pb.Source = a.c.source(f.File)
	if !f.Wasm {
		pb.Kind = &artifactpb.Interceptor_Ballerina{Ballerina: &artifactpb.BallerinaFunction{Function: f.Name}}
		return "", ""
	}
	i, ok := a.c.modules[f.File]
	if !ok {
		i = uint32(len(a.c.out.Modules))
		a.c.modules[f.File] = i
		a.c.out.Modules = append(a.c.out.Modules, &artifactpb.Module{Source: a.c.sources[f.File], Code: lib.Code(f.File)})
	}
	pb.Kind = &artifactpb.Interceptor_Wasm{Wasm: &artifactpb.WasmFunction{Module: i, Function: f.Name}}
	return "", ""
}

// class looks a Java class up.
func (a *api) class(ref interceptor.Ref, name *spec.Text, pb *artifactpb.Interceptor) (problem, hint string) {
	jars := a.c.in.Interceptors.JARs(ref.Name)
	if len(jars) == 0 && a.c.in.Interceptors.Incomplete() {
		return "", ""
	}
	if len(jars) == 0 {
		hint := a.c.spell.DidYouMean(ref.Name, func() []string { return a.c.in.Interceptors.Names(interceptor.Class) })
		if hint == "" {
			hint = "put the JAR that has it into lib"
		}
		return fmt.Sprintf("no JAR in lib has the class %q", ref.Name), hint
	}
	if len(jars) > 1 {
		a.c.diags.Warnf(name.At, "the class %q is there twice: %s is taken, %s is not", ref.Name, jars[0], jars[1])
	}
	pb.Source = a.c.source(jars[0])
	pb.Kind = &artifactpb.Interceptor_Java{Java: &artifactpb.JavaClass{ClassName: ref.Name}}
	return "", ""
}

// source is a file's index plus one; 0 if it was not read.
func (c *compiler) source(file string) uint32 {
	if i, ok := c.sources[file]; ok {
		return i + 1
	}
	return 0
}

module github.com/microgw/microgw/examples

go 1.26

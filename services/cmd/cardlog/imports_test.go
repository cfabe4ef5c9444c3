package main

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

// cardlogModule begins the import path of everything of ours.
const cardlogModule = "github.com/cardlog/cardlog"

// importRule says what the files of some folders must not import. A folder or an import path stands for everything below it, too.
type importRule struct {
	sentence   string
	folders    []string
	except     []string
	testsMay   []string // folders whose tests the rule leaves alone
	forbidden  []string
	allowed    []string // of the forbidden
	brokenBy   string   // a file that breaks the rule …
	withImport string   // … by this import
}

// importRules are the import rules of the architecture. The linter holds the same ones (.golangci.yml): change both.
func importRules() []importRule {
	rules := []importRule{
		{
			sentence: "the domain is pure: no transport, no input or output, no randomness, and of ours only stored facts, their types and the kinds of failure",
			folders:  []string{"services/accounts/account", "services/payments/payment", "services/transactions/ledger", "services/internal/failure", "services/internal/command", "services/internal/codec"},
			testsMay: []string{"services"},
			forbidden: []string{"context", "crypto/rand", "hash/maphash", "math/rand", "net", "os", "time/tzdata",
				"google.golang.org/grpc", "github.com"},
			allowed:  []string{cardlogModule + "/gen/cardlog/events/v1", cardlogModule + "/gen/cardlog/type/v1", cardlogModule + "/services/internal/failure", cardlogModule + "/services/internal/command", cardlogModule + "/services/internal/codec"},
			brokenBy: "services/transactions/ledger/balance.go", withImport: "math/rand/v2",
		},
		{
			sentence:  "only eventlog and embeddednats speak NATS, and tests that act as a foreign client",
			folders:   []string{"services"},
			except:    []string{"services/internal/eventlog", "services/internal/embeddednats"},
			testsMay:  []string{"services/cmd", "services/feed", "services/internal", "services/transactions"},
			forbidden: []string{"github.com/nats-io"},
			brokenBy:  "services/payments/server_test.go", withImport: "github.com/nats-io/nats.go",
		},
		{
			sentence:  "the console, the replay and the benchmark are gRPC clients like any other: of ours they import generated code only",
			folders:   []string{"services/console", "services/replay", "services/bench"},
			forbidden: []string{cardlogModule},
			allowed:   []string{cardlogModule + "/gen", cardlogModule + "/services/console", cardlogModule + "/services/replay", cardlogModule + "/services/bench"},
			brokenBy:  "services/console/pages/account.go", withImport: cardlogModule + "/services/internal/rpc",
		},
		{
			sentence:  "imports point inwards: what all services share knows none of them",
			folders:   []string{"services/internal"},
			forbidden: []string{cardlogModule + "/services"},
			allowed:   []string{cardlogModule + "/services/internal"},
			brokenBy:  "services/internal/engine/engine.go", withImport: cardlogModule + "/services/transactions/ledger",
		},
		{
			sentence:  "there is one logger, log/slog",
			folders:   []string{"services"},
			forbidden: []string{"log", "github.com/sirupsen/logrus"},
			allowed:   []string{"log/slog"},
			brokenBy:  "services/cmd/cardlog/serve.go", withImport: "log",
		},
	}
	for _, service := range []string{"accounts", "payments", "transactions", "feed"} {
		rules = append(rules, importRule{
			sentence:  service + " knows other services by their protobuf, never by their code",
			folders:   []string{"services/" + service},
			forbidden: []string{cardlogModule + "/services"},
			allowed:   []string{cardlogModule + "/services/" + service, cardlogModule + "/services/internal"},
			brokenBy:  "services/" + service + "/server.go", withImport: cardlogModule + "/services/console",
		})
	}
	return rules
}

// forbids says whether a file may not have an import.
func (r importRule) forbids(file, imported string) bool {
	if !below(r.folders, file) || below(r.except, file) {
		return false
	}
	if strings.HasSuffix(file, "_test.go") && below(r.testsMay, file) {
		return false
	}
	return below(r.forbidden, imported) && !below(r.allowed, imported)
}

// below says whether a path is one of the roots or below one.
func below(roots []string, name string) bool {
	return slices.ContainsFunc(roots, func(root string) bool {
		return name == root || strings.HasPrefix(name, root+"/")
	})
}

// forbiddenImports holds every Go file below services against the rules. It returns a sentence for each breach, and how many files it read.
func forbiddenImports(repository fs.FS, rules []importRule) (breaches []string, files int, err error) {
	err = fs.WalkDir(repository, "services", func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || path.Ext(file) != ".go" {
			return err
		}
		source, err := fs.ReadFile(repository, file)
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, source, parser.ImportsOnly)
		if err != nil {
			return err
		}
		files++
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			for _, rule := range rules {
				if rule.forbids(file, imported) {
					breaches = append(breaches, fmt.Sprintf("%s imports %s: %s", file, imported, rule.sentence))
				}
			}
		}
		return nil
	})
	return breaches, files, err
}

func TestImportRules(t *testing.T) {
	breaches, files, err := forbiddenImports(os.DirFS("../../.."), importRules())
	if err != nil {
		t.Fatal(err)
	}
	if files < 2 {
		t.Fatalf("read %d files: this is not the root of the repository", files)
	}
	for _, breach := range breaches {
		t.Error(breach)
	}
}

func TestImportRulesCanFail(t *testing.T) {
	for _, rule := range importRules() {
		t.Run(rule.sentence, func(t *testing.T) {
			source := fmt.Sprintf("package broken\n\nimport _ %q\n", rule.withImport)
			repository := fstest.MapFS{rule.brokenBy: {Data: []byte(source)}}
			breaches, _, err := forbiddenImports(repository, []importRule{rule})
			if err != nil {
				t.Fatal(err)
			}
			want := fmt.Sprintf("%s imports %s: %s", rule.brokenBy, rule.withImport, rule.sentence)
			if !slices.Equal(breaches, []string{want}) {
				t.Errorf("got %q, want %q", breaches, want)
			}
		})
	}
}

func TestImportRulesLeaveAlone(t *testing.T) {
	for _, permitted := range []struct{ file, imported string }{
		{"services/transactions/ledger/balance.go", cardlogModule + "/gen/cardlog/type/v1"},
		{"services/transactions/ledger/balance_test.go", "math/rand/v2"},
		{"services/internal/eventlog/append.go", "github.com/nats-io/nats.go"},
		{"services/internal/engine/engine_test.go", "github.com/nats-io/nats.go"},
		{"services/transactions/server.go", cardlogModule + "/services/transactions/ledger"},
		{"services/console/server.go", cardlogModule + "/gen/cardlog/transactions/v1"},
		{"services/cmd/cardlog/serve.go", cardlogModule + "/services/payments"},
		{"services/cmd/cardlog/serve.go", "log/slog"},
	} {
		for _, rule := range importRules() {
			if rule.forbids(permitted.file, permitted.imported) {
				t.Errorf("%s may not import %s: %s", permitted.file, permitted.imported, rule.sentence)
			}
		}
	}
}

package rulesfile

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// reader notes the mistakes of a file while its values are read.
type reader struct{ problems []Problem }

func (r *reader) wrong(at *token.Token, path, format string, args ...any) {
	p := Problem{Line: 1, Column: 1, Path: path, Message: fmt.Sprintf(format, args...)}
	if at != nil && at.Position != nil {
		p.Line, p.Column = at.Position.Line, at.Position.Column
	}
	r.problems = append(r.problems, p)
}

// value is a value of the file. Its methods read it as what it should be; where it is not, they note a mistake and ok is false.
type value struct {
	reader *reader
	node   ast.Node // nil where there is none
	path   string
}

// parse reads the text of a file as YAML. What it cannot read it notes as a mistake, and the value is absent.
func (r *reader) parse(text []byte) (root value) {
	root = value{reader: r}
	// Keys that are there twice are found with everything else.
	file, err := parser.ParseBytes(text, 0, parser.AllowDuplicateMapKey())
	var broken yaml.Error
	switch {
	case errors.As(err, &broken):
		r.wrong(broken.GetToken(), "", "this is not YAML: %s", broken.GetMessage())
	case err != nil:
		r.wrong(nil, "", "this is not YAML: %v", err)
	default:
		for _, document := range file.Docs {
			if document.Body == nil {
				continue
			}
			if root.node != nil {
				r.wrong(firstToken(document.Body), "", "a rules file is one document: take out the --- before this")
				break
			}
			root.node = document.Body
		}
	}
	return root
}

// wrong notes a mistake at the value.
func (v value) wrong(format string, args ...any) {
	var at *token.Token
	if v.node != nil {
		at = firstToken(v.node)
	}
	v.reader.wrong(at, v.path, format, args...)
}

// firstToken is where a value begins. A mapping in lines of its own begins with its first key, and says so with its first colon.
func firstToken(node ast.Node) *token.Token {
	if mapping, ok := node.(*ast.MappingNode); ok && !mapping.IsFlowStyle && len(mapping.Values) > 0 {
		return mapping.Values[0].Key.GetToken()
	}
	return node.GetToken()
}

// absent says that there is no value: its key was left out, or nothing follows it.
func (v value) absent() bool {
	if v.node == nil {
		return true
	}
	_, null := v.node.(*ast.NullNode)
	return null
}

// in is a value inside of this one.
func (v value) in(key string, node ast.Node) value {
	path := key
	if v.path != "" {
		path = v.path + "." + key
	}
	return value{reader: v.reader, node: node, path: path}
}

// key is a key of a mapping with its value.
type key struct {
	name  string
	token *token.Token
	value value
}

// keys returns the keys of a mapping, in the order of the file. A key that is there twice is a mistake.
func (v value) keys() (keys []key, ok bool) {
	mapping, ok := v.node.(*ast.MappingNode)
	if !ok {
		v.wrong("must be keys with values, not %s", v.words())
		return nil, false
	}
	lines := map[string]int{}
	for _, entry := range mapping.Values {
		if entry.Key.IsMergeKey() {
			v.reader.wrong(entry.Key.GetToken(), v.path, "<< is not used in rules: write the keys out, so that each profile can be read alone")
			continue
		}
		name, plain := scalar(entry.Key)
		if !plain {
			v.reader.wrong(entry.Key.GetToken(), v.path, "a key must be plain text")
			continue
		}
		if line, twice := lines[name]; twice {
			v.reader.wrong(entry.Key.GetToken(), v.path, "%s is there already, in line %d: leave one out", name, line)
			continue
		}
		lines[name] = entry.Key.GetToken().Position.Line
		keys = append(keys, key{name: name, token: entry.Key.GetToken(), value: v.in(name, entry.Value)})
	}
	return keys, true
}

// fields are the values of a mapping by key.
type fields struct {
	of     value
	values map[string]value
}

// fields returns the values of a mapping that has only known keys. Those that are left out are absent.
func (v value) fields(known ...string) (f fields, ok bool) {
	keys, ok := v.keys()
	f = fields{of: v, values: map[string]value{}}
	for _, k := range keys {
		if !slices.Contains(known, k.name) {
			v.reader.wrong(k.token, v.path, "there is no key %s here: write %s", quoted(k.name), oneOf(known))
			continue
		}
		f.values[k.name] = k.value
	}
	return f, ok
}

// get returns the value of a key. Where the key was left out, a mistake about it is told where the mapping begins.
func (f fields) get(key string) value {
	if v, given := f.values[key]; given {
		return v
	}
	return f.of.in(key, nil)
}

// missing notes that a key must be given.
func (f fields) missing(key, why string) {
	f.of.wrong("%s is missing: %s", key, why)
}

// list returns the values of a list of at most so many. Where it is none, or longer, it notes that and there are none.
func (v value) list(most int) (values []value) {
	if v.absent() {
		return nil
	}
	sequence, ok := v.node.(*ast.SequenceNode)
	switch {
	case !ok:
		v.wrong("must be a list, such as [] or with a - before each line, not %s", v.words())
		return nil
	case len(sequence.Values) > most:
		v.wrong("has %d entries, and %d is the most", len(sequence.Values), most)
		return nil
	}
	for i, node := range sequence.Values {
		values = append(values, value{reader: v.reader, node: node, path: fmt.Sprintf("%s[%d]", v.path, i+1)})
	}
	return values
}

// text returns a text, or a number as it is written.
func (v value) text(wanted string) (text string, ok bool) {
	if v.node != nil {
		if text, ok = scalar(v.node); ok {
			return text, true
		}
	}
	v.wrong("%s, not %s", wanted, v.words())
	return "", false
}

// scalar returns the text of a string or a number: of a number as it is written, because 0742 is a category and not 482.
func scalar(node ast.Node) (text string, ok bool) {
	switch node := node.(type) {
	case *ast.StringNode:
		return node.Value, true
	case *ast.IntegerNode:
		return node.Token.Value, true
	case *ast.FloatNode:
		return node.Token.Value, true
	default:
		return "", false
	}
}

// twoDecimals is an amount as people write it.
var twoDecimals = regexp.MustCompile(`^[1-9][0-9]*\.[0-9]{2}$`)

// number returns a whole number within bounds. It must be written as one: 0100 would be 64, and 5000.00 pounds are not 5000 pence.
func (v value) number(least, most int64, unit string) (number int64, ok bool) {
	if integer, is := v.node.(*ast.IntegerNode); is {
		digits := strings.ReplaceAll(integer.Token.Value, "_", "")
		parsed, err := strconv.ParseInt(digits, 10, 64)
		if err == nil && parsed >= least && parsed <= most && digits == strconv.FormatInt(parsed, 10) {
			return parsed, true
		}
	}
	hint := ""
	if decimal, is := v.node.(*ast.FloatNode); is && unit == minorUnits && twoDecimals.MatchString(decimal.Token.Value) {
		hint = fmt.Sprintf(": %s is %s minor units", decimal.Token.Value, strings.Replace(decimal.Token.Value, ".", "", 1))
	}
	v.wrong("must be a whole number from %d to %d%s, not %s%s", least, most, unit, v.words(), hint)
	return 0, false
}

// flag returns true or false.
func (v value) flag() (flag, ok bool) {
	if node, is := v.node.(*ast.BoolNode); is {
		return node.Value, true
	}
	v.wrong("must be true or false, not %s", v.words())
	return false, false
}

// words say what a value is, for a mistake about it.
func (v value) words() string {
	if v.absent() {
		return "nothing"
	}
	switch node := v.node.(type) {
	case *ast.MappingNode:
		return "keys with values"
	case *ast.SequenceNode:
		return "a list"
	case *ast.AnchorNode, *ast.AliasNode:
		return "a reference: write out what is meant"
	case *ast.TagNode:
		return "a tag: leave out the ! and its word"
	case *ast.StringNode:
		if node.Token.Type == token.SingleQuoteType || node.Token.Type == token.DoubleQuoteType {
			return "the text " + quoted(node.Value)
		}
		return shortened(node.Value)
	default:
		return shortened(node.GetToken().Value)
	}
}

// wordBound is how much of a value a mistake repeats.
const wordBound = 40

// quoted is a text as a mistake repeats it.
func quoted(text string) string { return strconv.Quote(shortened(text)) }

func shortened(text string) string {
	if letters := []rune(text); len(letters) > wordBound {
		return string(letters[:wordBound]) + "…"
	}
	return text
}

// oneOf lists words: "a, b or c".
func oneOf(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

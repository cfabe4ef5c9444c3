package console

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// pageError is an error that has a page of its own.
type pageError struct {
	code            int
	title, sentence string
}

func (e *pageError) Error() string { return e.title + ": " + e.sentence }

// failurePage is what the page of an error shows.
type failurePage struct {
	Title, Sentence string
	Retry           bool // it may be better soon
}

// showFailure shows the page of an error.
func (c *Console) showFailure(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(r.Context().Err(), context.Canceled) {
		return // nobody is there to read it
	}
	failed := explain(err)
	if failed.code >= http.StatusInternalServerError {
		c.options.Logger.WarnContext(r.Context(), "page failed", slog.String("path", r.URL.Path), slog.String("error", err.Error()))
	}
	c.write(w, r, failed.code, "failure", view{Title: failed.title, Content: failurePage{Title: failed.title, Sentence: failed.sentence,
		Retry: failed.code == http.StatusServiceUnavailable || failed.code == http.StatusGatewayTimeout}})
}

// explain says in words what went wrong.
func explain(err error) *pageError {
	var known *pageError
	if errors.As(err, &known) {
		return known
	}
	s, ok := status.FromError(err)
	if !ok {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return &pageError{code: http.StatusRequestEntityTooLarge, title: "That is too much", sentence: "The form was larger than any form of the console is. Nothing was done."}
		}
		return &pageError{code: http.StatusInternalServerError, title: "The console failed", sentence: "The page could not be made. The console's log says why."}
	}
	switch s.Code() {
	case codes.NotFound:
		return &pageError{code: http.StatusNotFound, title: "Not found", sentence: sentence(s.Message())}
	case codes.InvalidArgument:
		return &pageError{code: http.StatusBadRequest, title: "That cannot be asked", sentence: sentence(s.Message())}
	case codes.FailedPrecondition, codes.AlreadyExists:
		return &pageError{code: http.StatusConflict, title: "That cannot be done", sentence: sentence(s.Message())}
	case codes.Unavailable:
		return &pageError{code: http.StatusServiceUnavailable, title: "cardlog cannot be reached", sentence: unreachable(s)}
	case codes.ResourceExhausted:
		return &pageError{code: http.StatusServiceUnavailable, title: "cardlog is busy", sentence: sentence(s.Message())}
	case codes.DeadlineExceeded, codes.Canceled:
		return &pageError{code: http.StatusGatewayTimeout, title: "cardlog did not answer in time", sentence: "Nothing is lost. Try again in a moment."}
	case codes.Unimplemented:
		return &pageError{code: http.StatusNotImplemented, title: "This cardlog cannot do that", sentence: "The server is of another version than the console."}
	default:
		return &pageError{code: http.StatusBadGateway, title: "cardlog answered with an error", sentence: sentence(s.Message())}
	}
}

// unreachable tells the words of a server, which says why, from those of the connection, which nobody wants to read.
func unreachable(s *status.Status) string {
	for _, detail := range s.Details() {
		if _, said := detail.(*errdetails.ErrorInfo); said {
			return sentence(s.Message())
		}
	}
	if strings.HasPrefix(s.Message(), "connection error") || strings.Contains(s.Message(), "error reading from server") || strings.Contains(s.Message(), "transport") {
		return "No connection to the server. The console goes on trying; whatever was answered before is on disk."
	}
	return sentence(s.Message())
}

// sentence makes a message of a server a sentence: with a capital and a full stop.
func sentence(message string) string {
	if message == "" {
		return "No reason was given."
	}
	message = strings.ToUpper(message[:1]) + message[1:]
	if !strings.ContainsRune(".?!", rune(message[len(message)-1])) {
		message += "."
	}
	return message
}

// violations returns what a server says against single fields of a request, in sentences.
func violations(err error) map[string]string {
	broken := map[string]string{}
	for _, detail := range status.Convert(err).Details() {
		request, ok := detail.(*errdetails.BadRequest)
		if !ok {
			continue
		}
		for _, violation := range request.GetFieldViolations() {
			broken[violation.GetField()] = fieldSentence(violation.GetDescription())
		}
	}
	return broken
}

// fieldSentence puts what a rule says of a field into words for who filled it in.
func fieldSentence(description string) string {
	switch {
	case strings.Contains(description, "[A-Za-z0-9_-]{1,64}"):
		return "Use 1 to 64 letters, digits, hyphens or underscores."
	case strings.Contains(description, "[0-9]{4}"):
		return "Choose a category from the list, or type its four digits."
	case strings.Contains(description, "[A-Z]{2}"):
		return "Use the two capital letters of a country, such as GB."
	case strings.Contains(description, "[A-Z]{3}"):
		return "Use the three capital letters of a currency, such as GBP."
	case strings.Contains(description, "^R[0-9]{2}"):
		return "Use a return code such as R01."
	case strings.Contains(description, "at least 1 character"):
		return "Please fill this in."
	case strings.HasPrefix(description, "must "):
		return "It " + strings.TrimSuffix(description, ".") + "."
	default:
		return sentence(description)
	}
}

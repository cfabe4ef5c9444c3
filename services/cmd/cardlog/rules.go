package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"reflect"

	"github.com/spf13/cobra"

	"github.com/cardlog/cardlog/services/payments/payment"
	"github.com/cardlog/cardlog/services/rulesfile"
	"github.com/cardlog/cardlog/services/transactions/ledger"
)

func newRulesCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "rules",
		Short: "Check rules profiles, and show the built-in ones",
		Long: `Rules profiles say what is declined, how long holds live, what is held beyond what was asked, and which payments are reviewed. They are one YAML file with a
version, which is recorded on every decision; an account names its profile when it is opened, and is decided by the profile default where it names none.

  cardlog rules show > rules.yaml      the built-in rules, to begin with
  cardlog rules check rules.yaml       what they mean, or every mistake with its line and column
  cardlog up --rules rules.yaml
  kill -HUP PID                        has a running cardlog read them again; a file with mistakes changes nothing`,
	}
	command.AddCommand(newRulesCheckCommand(), newRulesShowCommand())
	return command
}

func newRulesCheckCommand() *cobra.Command {
	var inJSON bool
	command := &cobra.Command{
		Use:   "check FILE",
		Short: "Say what each profile of a file means, or every mistake in it",
		Long: `Say what each profile of a file means, with everything that the file leaves out; or every mistake in it, as FILE:LINE:COLUMN and what to write instead.
It exits with 1 when there is one.`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			return checkRules(command.OutOrStdout(), args[0], inJSON)
		},
	}
	command.Flags().BoolVar(&inJSON, "json", false, "write it as JSON: the rules, or the mistakes")
	return command
}

func newRulesShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show",
		Short: "Print the built-in default profile as a file for --rules, with what each key means",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return rulesfile.WriteDefault(command.OutOrStdout())
		},
	}
}

// rulesReport is what rules check says to machines.
type rulesReport struct {
	File  string              `json:"file"`
	Valid bool                `json:"valid"`
	Rules *rulesfile.Document `json:"rules,omitempty"`
	// Problems in the order of the file, and how many more there are.
	Problems []rulesfile.Problem `json:"problems,omitempty"`
	More     int                 `json:"more_problems,omitempty"`
}

// checkRules says what the rules of a file mean. It returns an error when they cannot be read or have mistakes, after telling them.
func checkRules(out io.Writer, path string, inJSON bool) error {
	rules, err := rulesfile.Read(path)
	var mistakes *rulesfile.Error
	if err != nil && !errors.As(err, &mistakes) {
		return err
	}
	if inJSON {
		report := rulesReport{File: path, Valid: err == nil}
		if mistakes != nil {
			report.Problems, report.More = mistakes.Problems, mistakes.More
		} else {
			document := rules.Document()
			report.Rules = &document
		}
		if err := writeJSON(out, report); err != nil {
			return err
		}
	}
	switch {
	case mistakes != nil && inJSON:
		return fmt.Errorf("%s cannot be used", path)
	case mistakes != nil:
		return fmt.Errorf("%s cannot be used:\n%w", path, mistakes)
	case !inJSON:
		return rules.Explain(out)
	}
	return nil
}

// readRules makes the rules of the configuration those in force.
func (p *process) readRules(ctx context.Context) error {
	if p.config.rules == "" {
		p.rules.Store(rulesfile.BuiltIn())
		return nil
	}
	rules, err := rulesfile.Read(p.config.rules)
	if err != nil {
		return fmt.Errorf("the rules cannot be used:\n%w", err)
	}
	p.rules.Store(rules)
	p.config.logger.InfoContext(ctx, "rules", slog.String("file", p.config.rules), slog.String("version", rules.Version))
	return nil
}

// The rules in force, for the services.
func (p *process) purchaseRules() *ledger.Rules  { return p.rules.Load().Ledger }
func (p *process) paymentRules() *payment.Rules  { return p.rules.Load().Payments }
func (p *process) knowsProfile(name string) bool { return p.rules.Load().Knows(name) }

// reloadRules reads the rules file again. A file that cannot be used leaves the rules as they are, and is told loudly: nobody waits for an answer.
func (p *process) reloadRules(ctx context.Context) {
	logger, old := p.config.logger, p.rules.Load()
	if p.config.rules == "" {
		logger.WarnContext(ctx, "there are no rules to read again: the built-in ones are in force; name a file with --rules")
		return
	}
	in := slog.String("file", p.config.rules)
	rules, err := rulesfile.Read(p.config.rules)
	if err != nil {
		lines := []string{err.Error()}
		var mistakes *rulesfile.Error
		if errors.As(err, &mistakes) {
			lines = mistakes.Lines()
		}
		for _, line := range lines {
			logger.ErrorContext(ctx, "a mistake in the rules", slog.String("problem", line))
		}
		logger.ErrorContext(ctx, "THE RULES WERE NOT CHANGED: the file cannot be used, and the version before stays in force", in, slog.String("version", old.Version))
		return
	}
	p.rules.Store(rules)
	logger.InfoContext(ctx, "the rules were read again", in, slog.String("version", rules.Version), slog.String("previous_version", old.Version))
	before, now := old.Document(), rules.Document()
	for name := range before.Profiles {
		if _, still := now.Profiles[name]; !still {
			logger.WarnContext(ctx, "a profile is gone: its accounts are decided by the profile default", slog.String("profile", name))
		}
	}
	if old.Version == rules.Version && !reflect.DeepEqual(before, now) {
		logger.WarnContext(ctx, "the rules changed and their version did not: decisions cannot be told apart by it; give each change a new version", in,
			slog.String("version", rules.Version))
	}
}

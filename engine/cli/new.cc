#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include "cli/commands.h"
#include "cli/load.h"
#include "cli/paint.h"
#include "cli/write_file.h"
#include "core/json.h"
#include "core/text.h"
#include "rules/api.h"
#include "rules/dry_run.h"
#include "rules/format.h"
#include "rules/lua_source.h"

namespace ccrules::cli {
namespace {

namespace api = rules::api;

/// The files as they would be with some of them changed.
class Draft final : public Files {
 public:
  explicit Draft(const Files& below) : below_(below) {}
  std::map<std::string, std::string> changed;

  [[nodiscard]] Result<std::string> read(const std::string& path) const override {
    const auto found = changed.find(path);
    return found != changed.end() ? Result<std::string>(found->second) : below_.read(path);
  }
  [[nodiscard]] bool exists(const std::string& path) const override { return changed.count(path) != 0 || below_.exists(path); }
  [[nodiscard]] std::vector<std::string> list(const std::string& directory) const override { return below_.list(directory); }

 private:
  const Files& below_;
};

std::string quoted(std::string_view text) {
  std::string out;
  json::append_string(out, text);  // what both JSON and Lua read alike, for the texts people type here
  return out;
}

/// "tokens > 60000" as Lua, with facts on both sides of it.
struct Part {
  std::string condition;  ///< tokens = { gt = 60000 }
  std::string inside;     ///< tokens = 60001
  std::string outside;    ///< tokens = 60000; empty when a test cannot say it
};

std::string number(double value) { return rules::number_text(value); }

/// One comparison; nothing, and `problem` says why, when it is none.
std::optional<Part> read_part(std::string_view text, std::string& problem) {
  static constexpr std::pair<std::string_view, std::string_view> kSigns[] = {
      {">=", "gte"}, {"<=", "lte"}, {"!=", "ne"}, {">", "gt"}, {"<", "lt"}, {"=", "eq"}, {" has ", "has"}};
  for (const auto& [sign, word] : kSigns) {
    const std::size_t at = text.find(sign);
    if (at == std::string_view::npos) continue;
    const std::string fact(text::trim(text.substr(0, at)));
    std::string value(text::trim(text.substr(at + sign.size())));
    if (value.starts_with('=')) value = text::trim(std::string_view(value).substr(1));  // ==
    const api::FactRow* row = api::find_fact(fact);
    if (row == nullptr) {
      problem = "unknown fact '" + fact + "'; " + api::fact_hint(fact);
      return std::nullopt;
    }
    if (value.size() >= 2 && (value.front() == '"' || value.front() == '\'') && value.back() == value.front()) {
      value = value.substr(1, value.size() - 2);
    }
    const std::string key = fact.find('.') == std::string::npos ? fact : "[\"" + fact + "\"]";
    const bool equal = word == "eq";
    if (row->kind == api::Kind::kNumber) {
      char* end = nullptr;
      const double given = std::strtod(value.c_str(), &end);
      if (value.empty() || *end != '\0' || word == "has") {
        problem = fact + " is a number: " + fact + " > 60000";
        return std::nullopt;
      }
      const double in = word == "gt" || word == "ne" ? given + 1 : word == "lt" ? given - 1 : given;
      const double out = word == "gte" ? given - 1 : word == "lte" || equal ? given + 1 : given;
      return Part{key + " = " + (equal ? number(given) : "{ " + std::string(word) + " = " + number(given) + " }"),
                  key + " = " + number(in), key + " = " + number(out)};
    }
    if (row->kind == api::Kind::kFlag) {
      if ((value != "true" && value != "false") || !equal) {
        problem = fact + " is true or false: " + fact + " = true";
        return std::nullopt;
      }
      return Part{key + " = " + value, key + " = " + value, key + " = " + (value == "true" ? "false" : "true")};
    }
    if (row->kind == api::Kind::kText && (equal || word == "ne" || word == "has")) {
      std::string example = value;
      std::replace(example.begin(), example.end(), '*', 'x');
      std::replace(example.begin(), example.end(), '?', 'x');
      const std::string is = key + " = " + quoted(example);
      const std::string other = key + " = \"something-else\"";
      if (word == "ne") return Part{key + " = none { " + quoted(value) + " }", other, is};
      return Part{key + " = " + (equal ? quoted(value) : "{ has = " + quoted(value) + " }"), is, other};
    }
    if (row->kind == api::Kind::kList && (equal || word == "has")) {
      return Part{key + " = { has = " + quoted(value) + " }", key + " = { " + quoted(value) + " }", key + " = {}"};
    }
    problem = "this command cannot write a condition on " + fact + ": see docs/rules.md";
    return std::nullopt;
  }
  problem = "'" + std::string(text) + "' is no condition: write tokens > 60000, model = *haiku*, thinking = true";
  return std::nullopt;
}

struct Wish {
  std::string name, when, to, deny;
};

struct Written {
  std::string rule;
  std::vector<std::string> inside;   ///< for each condition, the fact of a request that meets it
  std::vector<std::string> outside;  ///< for each condition, one that just does not; empty: none can be given
  std::string effect;                ///< what a test expects of it

  /// Facts of a request that matches; of one that does not, for the condition `but`.
  [[nodiscard]] std::string given(std::size_t but = std::string::npos) const {
    std::string list;
    for (std::size_t i = 0; i < inside.size(); ++i) list += (list.empty() ? "" : ", ") + (i == but ? outside[i] : inside[i]);
    return list;
  }
};

std::optional<Written> write(const Wish& wish, std::string& problem) {
  Written out;
  std::string conditions;
  std::string_view rest = wish.when;
  while (!text::trim(rest).empty()) {
    const std::size_t end = rest.find(" and ");
    const std::optional<Part> part = read_part(text::trim(rest.substr(0, end)), problem);
    if (!part) return std::nullopt;
    conditions += (conditions.empty() ? "" : ", ") + part->condition;
    out.inside.push_back(part->inside);
    out.outside.push_back(part->outside);
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 5);
  }
  out.rule = "rule " + quoted(wish.name) + " {\n";
  if (!conditions.empty()) out.rule += "  when = { " + conditions + " },\n";
  if (!wish.deny.empty()) {
    out.rule += "  deny = { status = 403, message = " + quoted(wish.deny) + " },\n";
    out.effect = "deny = 403";
  } else {
    out.rule += "  to = " + quoted(wish.to) + ",\n";
    out.effect = "to = " + quoted(wish.to);
  }
  out.rule += "}\n";
  return out;
}

/// `text` with the rule at its end, or before the first rule.
std::string with_rule(const std::string& text, const std::string& rule, bool first) {
  const auto constructs = rules::scan(text);
  const auto found = std::find_if(constructs.begin(), constructs.end(), [](const auto& one) { return one.callee == "rule"; });
  if (!first || found == constructs.end()) {
    const char* gap = text.empty() ? "" : text.ends_with("\n") ? "\n" : "\n\n";
    return text + gap + rule;
  }
  std::size_t at = 0;
  for (int line = 1; line < found->at.line && at < text.size(); ++line) at = text.find('\n', at) + 1;
  return text.substr(0, at) + rule + "\n" + text.substr(at);
}

std::string ask(Io& io, const std::string& question) {
  io.err << paint_for_err(io).bold(question) << " " << std::flush;
  std::string answer;
  std::getline(io.in, answer);
  return std::string(text::trim(answer));
}

std::string test_file_of(const std::string& rules) {
  return (rules.ends_with(".lua") ? rules.substr(0, rules.size() - 4) : rules) + "_test.lua";
}

std::string test_of(const Wish& wish, const std::string& title, const std::string& given, const std::string& expect) {
  return "case " + quoted(wish.name + ": " + title) + " {\n" + (given.empty() ? "" : "  given = { " + given + " },\n") +
         "  expect = { " + expect + " },\n}\n";
}

/// The draft's rules and tests; nothing when all is well.
class Author {
 public:
  Author(Io& io, config::Snapshot config, std::string file)
      : io_(io), config_(std::move(config)), file_(std::move(file)), draft_(io.files) {}

  Exit write_down(const Wish& wish, const Written& written) {
    const std::string tests = test_file_of(file_);
    const std::string old_rules = text_of(file_);
    const std::string old_tests = text_of(tests);
    const std::string expect = written.effect + ", by = " + quoted(wish.name);
    const std::string inside = test_of(wish, wish.when.empty() ? "always" : wish.when, written.given(), expect);
    rules::TestReport report;
    for (const bool first : {false, true}) {
      draft_.changed[file_] = with_rule(old_rules, written.rule, first);
      report = run(inside, tests);
      if (!report.problems.empty()) break;
      if (report.failed() == 0) return finish(wish, written, tests, old_tests, inside);
    }
    if (!report.problems.empty()) {
      print_diagnostics(report.problems, io_, Where::kErr);
    } else {
      const rules::CaseResult& result = report.cases.front();
      (void)usage_error(io_, "the rule would not decide: expected " + result.expected + ", but " + result.actual);
    }
    io_.err << "nothing was written\n";
    return Exit::kUsage;
  }

 private:
  std::string text_of(const std::string& path) const {
    if (!io_.files.exists(path)) return {};
    Result<std::string> text = io_.files.read(path);
    return text.ok() ? *std::move(text) : std::string();
  }

  rules::TestReport run(const std::string& text, const std::string& path) {
    draft_.changed[path] = text;
    return rules::run_tests({path}, config_, draft_);
  }

  Exit finish(const Wish& wish, const Written& written, const std::string& tests, const std::string& old_tests, std::string text) {
    for (std::size_t i = 0; i < written.outside.size(); ++i) {
      if (written.outside[i].empty()) continue;
      // What a request just outside gets is asked of the rules themselves.
      const rules::TestReport other = run(test_of(wish, "x", written.given(i), "by = false"), tests);
      if (!other.problems.empty() || other.cases.empty()) continue;
      const std::string& by = other.cases.front().decision.rule;
      if (by == wish.name) continue;
      text += test_of(wish, "not when " + written.outside[i], written.given(i), by.empty() ? "by = false" : "by = " + quoted(by));
    }
    const std::string all = old_tests + (old_tests.empty() ? "" : old_tests.ends_with("\n") ? "\n" : "\n\n") + text;
    const rules::TestReport report = run(all, tests);
    if (!report.problems.empty() || report.failed() > 0) {
      if (!report.problems.empty()) print_diagnostics(report.problems, io_, Where::kErr);
      for (const rules::CaseResult& result : report.cases) {
        if (!result.passed) io_.err << "fails: " << result.name << ": expected " << result.expected << ", but " << result.actual << "\n";
      }
      io_.err << "nothing was written: with the new rule tests would fail\n";
      return Exit::kFailed;
    }
    for (const auto& [path, content] : {std::pair(file_, draft_.changed[file_]), std::pair(tests, all)}) {
      const Result<void> done = write_file(path, content);
      if (!done.ok()) return usage_error(io_, done.error().message);
    }
    io_.out << written.rule << "\n";
    io_.err << "written to " << shown_path(io_, file_) << ", its tests to " << shown_path(io_, tests) << "; all "
            << report.cases.size() << " tests there pass\n";
    return Exit::kOk;
  }

  Io& io_;
  config::Snapshot config_;
  std::string file_;
  Draft draft_;
};

Exit run_new(const Arguments& arguments, Io& io) {
  config::Options options = config_options(arguments, io);
  options.dry_run = true;
  const auto config = load_config(options, io);
  if (!config) return Exit::kUsage;
  Wish wish{arguments.words().empty() ? std::string() : arguments.words().front(), arguments.value("when"), arguments.value("to"),
            arguments.value("deny")};
  if (wish.name.empty() && io.err_is_terminal) {
    wish.name = ask(io, "A name for the rule, such as long-context:");
    if (wish.when.empty()) wish.when = ask(io, "When (tokens > 60000, model = *haiku*, agent = reviewer and thinking = true; empty: always):");
    if (wish.to.empty() && wish.deny.empty()) wish.to = ask(io, "To (provider,model or an alias; empty: refuse):");
    if (wish.to.empty() && wish.deny.empty()) wish.deny = ask(io, "Refuse with which message:");
  }
  if (wish.name.empty()) return usage_error(io, "a rule needs a name: ccrules new long-context --when 'tokens > 60000' --to provider,model");
  if (wish.to.empty() == wish.deny.empty()) return usage_error(io, "say either --to TARGET or --deny MESSAGE");

  std::string problem;
  const std::optional<Written> written = write(wish, problem);
  if (!written) return usage_error(io, problem);

  config::Snapshot changed = *config;
  std::string file = arguments.value("file");
  if (!file.empty() && !file.starts_with('/')) file = io.working_directory + "/" + file;
  if (file.empty()) {
    const auto lua = std::find_if(changed.rules.begin(), changed.rules.end(),
                                  [](const std::string& path) { return path.ends_with(".lua"); });
    const std::size_t slash = config->file.find_last_of('/');
    const std::string folder = slash == std::string::npos ? io.working_directory : config->file.substr(0, slash);
    file = lua != changed.rules.end() ? *lua : folder + "/rules.lua";
  }
  const bool listed = std::find(changed.rules.begin(), changed.rules.end(), file) != changed.rules.end();
  if (!listed) changed.rules.push_back(file);
  const Exit done = Author(io, std::move(changed), file).write_down(wish, *written);
  if (done == Exit::kOk && !listed) {
    io.err << "to use it, add " << quoted(shown_path(io, file)) << " to \"rules\" in "
           << (config->file.empty() ? std::string("ccrules.json") : shown_path(io, config->file)) << "\n";
  }
  return done;
}

}  // namespace

Command new_command() {
  Command command;
  command.name = "new";
  command.summary = "Write a rule and its tests";
  command.arguments = "[NAME]";
  command.about =
      "Makes a rule from a condition and a target, and tests: a request that it decides, and for every condition one just outside.\n"
      "On a terminal, without a NAME, it asks. The rule goes to the end of the file, or before all others when it would decide\n"
      "nothing there. Nothing is written when the rule does not load or a test of that file would fail.";
  command.flags = {{"when", "CONDITION", "tokens > 60000, model = *haiku*, thinking = true, joined by 'and'", {}},
                   {"to", "TARGET", "provider,model or an alias", {}},
                   {"deny", "MESSAGE", "refuse with 403 and this message", {}},
                   {"file", "FILE", "the rule file; else the first of the configuration, or rules.lua beside it", {}}};
  command.examples = {{"ccrules new long --when 'tokens > 60000' --to anthropic,claude-opus-5-5", "a rule and its tests"}};
  command.most = 1;
  command.run = &run_new;
  return command;
}

}  // namespace ccrules::cli

#include "rules/dry_run.h"

#include <algorithm>
#include <chrono>

#include "core/text.h"
#include "rules/expect.h"
#include "rules/given.h"
#include "rules/json_tree.h"
#include "rules/sample.h"
#include "rules/script.h"

namespace ccrules::rules {
namespace {

constexpr int kFolderDepth = 8;              // how deep folders are searched for test files
constexpr std::size_t kFolderEntries = 50000;  // and how many entries are looked at: a home directory must not hang us

bool is_lua_test(std::string_view path) { return path.ends_with("_test.lua") || path.ends_with(".test.lua"); }

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? std::string(".") : path.substr(0, slash);
}

class TestRun {
 public:
  TestRun(const config::Snapshot& snapshot, const Files& files) : snapshot_(snapshot), files_(files) {}

  TestReport run(const std::vector<std::string>& paths) {
    const auto begin = std::chrono::steady_clock::now();
    engine_ = Engine::load(snapshot_, files_, report_.problems);
    if (engine_ != nullptr) {
      for (const std::string& path : paths) visit(path);
    }
    report_.time_us =
        std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - begin).count();
    return std::move(report_);
  }

 private:
  void visit(const std::string& path) {
    if (path.ends_with(".lua") || path.ends_with(".jsonl")) {
      run_file(path, true);
    } else if (!files_.list(path).empty()) {
      search(path, 0);
    } else {
      config::Diagnostic diagnostic;
      diagnostic.where.file = path;
      diagnostic.message = files_.exists(path) ? "this is no test file: tests are *_test.lua, *.test.lua or *.jsonl"
                                               : "there is no such file or folder";
      report_.problems.push_back(std::move(diagnostic));
    }
  }

  void search(const std::string& folder, int depth) {
    for (const std::string& name : files_.list(folder)) {
      if (++entries_ > kFolderEntries) return;
      if (name.starts_with('.') || name == "node_modules" || name == "build") continue;
      const std::string path = folder + "/" + name;
      if (is_lua_test(name) || name.ends_with(".jsonl")) {
        run_file(path, false);
      } else if (depth < kFolderDepth && name.find('.') == std::string::npos) {
        search(path, depth + 1);
      }
    }
  }

  void run_file(const std::string& path, bool asked_for) {
    Result<std::string> text = files_.read(path);
    SourceFile file{path, path, {}};
    if (!text.ok()) {
      report_.problems.push_back(file.error({}, text.error().message));
      return;
    }
    file.text = *std::move(text);
    base_ = Tree{};
    base_.kind = Tree::Kind::kTable;
    if (path.ends_with(".lua")) {
      run_lua(file);
      return;
    }
    // A folder may hold other files of that kind.
    if (!asked_for && file.text.find("\"expect\"") == std::string::npos) return;
    run_lines(file);
  }

  void run_lua(const SourceFile& file) {
    std::string error;
    const std::unique_ptr<Script> script = Script::create("rules/prelude/tests.lua", error);
    if (script == nullptr) {
      report_.problems.push_back(file.error({}, error));
      return;
    }
    std::vector<Declaration> declarations;
    if (!script->load(file, declarations, report_.problems)) return;
    for (const Declaration& declaration : declarations) {
      if (declaration.callee == "base") {
        merge_base(file, declaration.body);
      } else {
        run_case(file, declaration.name, declaration.at, declaration.body);
      }
    }
  }

  // One case a line: {"name":...,"given":{...},"expect":{...}}; {"base":{...}} changes what follows.
  void run_lines(const SourceFile& file) {
    int line = 0;
    for (const std::string_view text : text::split(file.text, '\n')) {
      ++line;
      if (text::trim(text).empty()) continue;
      const Spot at{line, 1};
      const Result<Tree> tree = read_json(text, at);
      if (!tree.ok()) {
        report_.problems.push_back(file.error(at, "not a JSON object: " + tree.error().message));
        continue;
      }
      if (const Tree::Member* base = tree->find("base")) {
        merge_base(file, base->value);
        continue;
      }
      const Tree::Member* name = tree->find("name");
      run_case(file, name != nullptr ? name->value.text : "line " + std::to_string(line), at, *tree);
    }
  }

  // A later base changes the facts it names and keeps the others.
  void merge_base(const SourceFile& file, const Tree& body) {
    Problems problems;
    Sample checked;
    apply_given(body, checked, problems);
    if (report_problems(file, problems)) return;
    for (const Tree::Member& member : body.members) {
      std::erase_if(base_.members, [&member](const Tree::Member& old) { return old.key == member.key; });
      base_.members.push_back(member);
    }
  }

  bool report_problems(const SourceFile& file, const Problems& problems) {
    for (const Problem& problem : problems) {
      report_.problems.push_back(file.error(problem.at, problem.message, problem.hint));
    }
    return !problems.empty();
  }

  void run_case(const SourceFile& file, const std::string& name, Spot at, const Tree& body) {
    Problems problems;
    Sample sample;
    const Tree::Member* expect = body.find("expect");
    const Tree::Member* on = body.find("on");
    const bool on_error = on != nullptr && on->value.text == "error";
    if (expect == nullptr) problems.push_back({at, "case '" + name + "' expects nothing", "add expect = { to = \"...\" }"});
    if (on != nullptr && !on_error && on->value.text != "request") problems.push_back({on->value.at, "on is \"request\" or \"error\"", {}});
    read_request(file, body, sample, problems);
    Problems reported;
    apply_given(base_, sample, reported);
    if (on_error) sample.facts.attempt = std::max(sample.facts.attempt, 1);
    for (const Tree::Member& member : body.members) {
      if (member.key == "given") apply_given(member.value, sample, problems);
      if (member.key != "given" && member.key != "expect" && member.key != "request" && member.key != "on" &&
          member.key != "name" && member.key != "doc") {
        problems.push_back({member.at, "a case has no '" + member.key + "'", "a case has given, request, on, expect"});
      }
    }
    if (report_problems(file, problems)) return;

    CaseResult result;
    result.file = file.path;
    result.name = name;
    result.line = at.line;
    const std::vector<Difference> found = decide(expect->value, on_error, sample, result, problems);
    if (report_problems(file, problems)) return;
    for (const Difference& difference : found) {
      if (!result.expected.empty()) result.expected += "; ";
      if (!result.actual.empty()) result.actual += "; ";
      result.expected += difference.expected;
      result.actual += difference.actual;
    }
    result.passed = found.empty();
    report_.cases.push_back(std::move(result));
  }

  std::vector<Difference> decide(const Tree& expect, bool on_error, const Sample& sample, CaseResult& result, Problems& problems) {
    if (!on_error) {
      result.decision = engine_->decide(sample.facts, &result.trace);
      return differences(expect, result.decision, result.trace, *engine_, problems);
    }
    const ErrorDecision decision = engine_->decide_error(sample.facts, &result.trace);
    result.decision.rule = decision.rule;
    if (decision.to) result.decision.targets.push_back(*decision.to);
    return differences(expect, decision, *engine_, problems);
  }

  void read_request(const SourceFile& file, const Tree& body, Sample& sample, Problems& problems) {
    const Tree::Member* request = body.find("request");
    if (request == nullptr) return;
    const std::string& name = request->value.text;
    const std::string path = name.starts_with('/') ? name : folder_of(file.path) + "/" + name;
    Result<std::string> bytes = files_.read(path);
    if (!bytes.ok()) {
      problems.push_back({request->value.at, bytes.error().message, {}});
      return;
    }
    const Result<void> read = sample.read(*bytes);
    if (!read.ok()) problems.push_back({request->value.at, name + ": " + read.error().message, {}});
  }

  const config::Snapshot& snapshot_;
  const Files& files_;
  std::unique_ptr<Engine> engine_;
  TestReport report_;
  Tree base_;
  std::size_t entries_ = 0;
};

}  // namespace

std::size_t TestReport::failed() const {
  return static_cast<std::size_t>(
      std::count_if(cases.begin(), cases.end(), [](const CaseResult& result) { return !result.passed; }));
}

TestReport run_tests(const std::vector<std::string>& paths, const config::Snapshot& snapshot, const Files& files) {
  return TestRun(snapshot, files).run(paths);
}

Result<Explanation> explain(std::string_view bytes, const config::Snapshot& snapshot, const Files& files,
                            std::vector<config::Diagnostic>& diagnostics) {
  const std::unique_ptr<Engine> engine = Engine::load(snapshot, files, diagnostics);
  if (engine == nullptr) return bad_request("the rules could not be loaded");
  Sample sample;
  CCR_CHECK(sample.read(bytes));
  Explanation explanation;
  sample.facts.wall_us = system_clock().wall_us();
  explanation.decision = engine->decide(sample.facts, &explanation.trace);
  explanation.dialect = sample.dialect;
  explanation.tokens = sample.facts.tokens;
  return explanation;
}

std::vector<config::Diagnostic> check(const config::Snapshot& snapshot, const Files& files) {
  std::vector<config::Diagnostic> diagnostics;
  const std::unique_ptr<Engine> engine = Engine::load(snapshot, files, diagnostics);
  if (engine == nullptr) return diagnostics;
  for (config::Diagnostic& warning : engine->review()) diagnostics.push_back(std::move(warning));
  return diagnostics;
}

}  // namespace ccrules::rules

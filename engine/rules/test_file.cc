#include "rules/test_file.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "core/limits.h"
#include "core/text.h"
#include "rules/expect.h"
#include "rules/given.h"
#include "rules/json_tree.h"
#include "rules/script.h"

namespace ccrules::rules {
namespace {

bool is_lua_test(std::string_view path) {
  return path.ends_with("_test.lua") || path.ends_with(".test.lua");
}

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? std::string(".") : path.substr(0, slash);
}

Tree empty_table(Spot at) {
  Tree tree;
  tree.kind = Tree::Kind::kTable;
  tree.at = at;
  return tree;
}

/// Reads the tests of one file.
class TestReader {
 public:
  TestReader(std::shared_ptr<const SourceFile> file, const Files& files,
             std::vector<config::Diagnostic>& diagnostics)
      : file_(std::move(file)),
        files_(files),
        diagnostics_(diagnostics),
        base_(std::make_shared<const Tree>(empty_table({}))) {}

  std::vector<TestCase> lua() {
    std::string error;
    const std::unique_ptr<Script> script = Script::create("rules/prelude/tests.lua", error);
    if (script == nullptr) {
      diagnostics_.push_back(file_->error({}, error));
      return {};
    }
    std::vector<Declaration> declarations;
    if (!script->load(*file_, declarations, diagnostics_)) return {};
    for (const Declaration& declaration : declarations) {
      const std::string& callee = declaration.callee;
      if (callee == "base") {
        merge_base(declaration.body);
      } else {
        add(declaration.name, declaration.at, declaration.body,
            callee == "sweep"  ? TestCase::Kind::kSweep
            : callee == "flow" ? TestCase::Kind::kFlow
                               : TestCase::Kind::kCase);
      }
    }
    return std::move(tests_);
  }

  // One case a line: {"name":...,"given":{...},"expect":{...}}; {"base":{...}} changes what follows; "over"
  // makes a sweep, "flow": [step, ...] a flow.
  std::vector<TestCase> lines() {
    int line = 0;
    for (const std::string_view text : text::split(file_->text, '\n')) {
      ++line;
      if (text::trim(text).empty()) continue;
      const Spot at{line, 1};
      const Result<Tree> tree = read_json(text, at);
      if (!tree.ok()) {
        fail(place_of(tree.error(), text, at), "not a JSON object: " + tree.error().message);
      } else if (!tree->is(Tree::Kind::kTable) || !tree->items.empty()) {
        fail(at, "a line is one object: {\"name\": ..., \"given\": {...}, \"expect\": {...}}");
      } else if (const Tree::Member* base = tree->find("base")) {
        merge_base(base->value);
      } else {
        json_case(*tree, at);
      }
    }
    return std::move(tests_);
  }

 private:
  void fail(Spot at, std::string message, std::string hint = {}) {
    diagnostics_.push_back(file_->error(at, std::move(message), std::move(hint)));
  }

  bool report(const Problems& problems) {
    for (const Problem& problem : problems) fail(problem.at, problem.message, problem.hint);
    return !problems.empty();
  }

  // A later base changes the facts it names and keeps the others.
  void merge_base(const Tree& body) {
    Problems problems;
    Sample checked;
    apply_given(body, checked, problems);
    if (report(problems)) return;
    Tree merged = *base_;
    for (const Tree::Member& member : body.members) {
      std::erase_if(merged.members, [&member](const Tree::Member& old) { return old.key == member.key; });
      merged.members.push_back(member);
    }
    base_ = std::make_shared<const Tree>(std::move(merged));
  }

  void json_case(const Tree& tree, Spot at) {
    const Tree::Member* name = tree.find("name");
    if (name != nullptr && !name->value.is(Tree::Kind::kText)) fail(name->value.at, "name is a string");
    Tree body = tree;
    std::erase_if(body.members, [](const Tree::Member& member) { return member.key == "name"; });
    const bool flow = tree.find("flow") != nullptr;
    if (flow) {
      const Tree steps = tree.find("flow")->value;
      for (const Tree::Member& member : body.members) {
        if (member.key != "flow")
          fail(member.at, "a flow has no '" + member.key + "'", "a flow has name and flow: [step, ...]");
      }
      body = steps;
    }
    add(name != nullptr ? name->value.text : "line " + std::to_string(at.line), at, body,
        flow                           ? TestCase::Kind::kFlow
        : tree.find("over") != nullptr ? TestCase::Kind::kSweep
                                       : TestCase::Kind::kCase);
  }

  void add(const std::string& name, Spot at, const Tree& body, TestCase::Kind kind) {
    TestCase test;
    test.kind = kind;
    test.file = file_;
    test.name = name;
    test.at = at;
    test.base = base_;
    const std::size_t before = diagnostics_.size();
    if (kind == TestCase::Kind::kFlow) {
      read_flow(test, body);
    } else {
      test.steps.push_back(read_step(test, body, at));
    }
    if (diagnostics_.size() == before) tests_.push_back(std::move(test));
  }

  void read_flow(TestCase& test, const Tree& body) {
    if (body.items.empty() || !body.members.empty()) {
      fail(test.at, "flow '" + test.name + "' is a list of steps",
           "flow \"name\" { { expect = { ... } }, { on = \"error\", given = { status = 529 }, expect = { ... "
           "} } }");
      return;
    }
    for (const Tree& step : body.items) {
      if (!step.is(Tree::Kind::kTable)) {
        fail(step.at, std::string("a step is a table with given and expect, not ") + step.kind_name());
        continue;
      }
      test.steps.push_back(read_step(test, step, step.at));
    }
    if (!test.steps.empty() && test.steps.front().on != api::On::kRequest) {
      fail(test.steps.front().at, "a flow begins with a request",
           "put { expect = { ... } } before the first on = \"error\"");
    }
  }

  TestStep read_step(TestCase& test, const Tree& body, Spot at) {
    TestStep step;
    step.at = at;
    step.given = step.expect = empty_table(at);
    const char* kind = test.kind == TestCase::Kind::kFlow ? "step" : kind_name(test.kind);
    const Tree::Member* on = body.find("on");
    if (on != nullptr && on->value.text == "error") {
      step.on = api::On::kError;
    } else if (on != nullptr && on->value.text == "response") {
      step.on = api::On::kResponse;
    } else if (on != nullptr && on->value.text != "request") {
      fail(on->value.at, "on is \"request\", \"error\" or \"response\"");
    }
    for (const Tree::Member& member : body.members) {
      if (member.key == "given") {
        step.given = member.value;
      } else if (member.key == "expect") {
        step.expect = member.value;
        if (!member.value.is(Tree::Kind::kTable))
          fail(member.value.at, "expect is a table: { to = \"...\" }");
      } else if (member.key == "request") {
        read_sample(member, step);
      } else if (member.key == "over" && test.kind == TestCase::Kind::kSweep) {
        read_range(member, test.over);
      } else if (member.key != "on" && member.key != "doc") {
        unknown(member, kind, test.kind == TestCase::Kind::kSweep);
      }
    }
    if (!body.items.empty())
      fail(body.items.front().at, std::string("a ") + kind + " is a table of names: given, expect ...");
    if (body.find("expect") == nullptr) {
      fail(at, std::string(kind) + " '" + test.name + "' expects nothing", "add expect = { to = \"...\" }");
    }
    if (test.kind == TestCase::Kind::kSweep && test.over.values.empty() && body.find("over") == nullptr) {
      fail(at, "sweep '" + test.name + "' goes over nothing", "add over = { \"session\", 1000, \"s-%d\" }");
    }
    check_facts(test, step);
    check_wanted(test, step);
    return step;
  }

  void unknown(const Tree::Member& member, const char* kind, bool sweep) {
    std::vector<std::string> known = {"given", "request", "on", "expect", "doc"};
    if (sweep) known.emplace_back("over");
    const std::string near = text::did_you_mean(member.key, known);
    fail(member.at, std::string("a ") + kind + " has no '" + member.key + "'",
         near.empty()
             ? std::string("a ") + kind + " has given, request, on, " + (sweep ? "over, expect" : "expect")
             : "did you mean '" + near + "'?");
  }

  void check_facts(const TestCase& test, const TestStep& step) {
    Problems problems;
    Sample checked;
    apply_given(step.given, checked, problems);
    if (!test.over.values.empty()) {
      Tree::Member member;
      member.key = test.over.fact;
      member.at = test.over.fact_at;
      for (const Tree& value : test.over.values) {
        member.value = value;
        const std::size_t before = problems.size();
        Tree one = empty_table(member.at);
        one.members.push_back(member);
        apply_given(one, checked, problems);
        if (problems.size() != before) break;
      }
    }
    report(problems);
  }

  void check_wanted(const TestCase& test, TestStep& step) {
    Problems problems;
    check_expect(step.expect, step.on, test.kind == TestCase::Kind::kSweep, problems);
    report(problems);
    const Tree::Member* upstream = step.expect.find("upstream");
    if (upstream == nullptr || !upstream->value.is(Tree::Kind::kText)) return;
    if (step.request.empty()) {
      fail(upstream->at, "upstream needs a whole request", "add request = \"samples/plan-mode.json\"");
    }
    step.golden = beside(upstream->value.text);
    step.golden_at = upstream->value.at;
  }

  [[nodiscard]] std::string beside(const std::string& name) const {
    return name.starts_with('/') ? name : folder_of(file_->path) + "/" + name;
  }

  void read_sample(const Tree::Member& member, TestStep& step) {
    if (!member.value.is(Tree::Kind::kText) || member.value.text.empty()) {
      fail(member.value.at, "request is the path of a sample: \"samples/plan-mode.json\"");
      return;
    }
    step.request = beside(member.value.text);
    Result<std::string> bytes = files_.read(step.request);
    if (!bytes.ok()) {
      fail(member.value.at, bytes.error().message, "paths are relative to the test file");
      return;
    }
    step.sample = *std::move(bytes);
    Sample sample;
    const Result<void> read = sample.read(step.sample);
    if (!read.ok()) fail(member.value.at, member.value.text + ": " + read.error().message);
  }

  // { "session", 20000, "s-%d" }, { "tokens", { 1, 2, 3 } }, { "tokens", { from = 0, to = 90000, step = 1000
  // } }
  void read_range(const Tree::Member& member, SweepRange& over) {
    const Tree& value = member.value;
    const char* form =
        "over = { \"session\", 20000, \"s-%d\" }, { \"tokens\", { 1, 60001 } } or { \"tokens\", { from = 0, "
        "to = 90000, step = 500 } }";
    if (value.items.size() < 2 || value.items.size() > 3 || !value.items[0].is(Tree::Kind::kText) ||
        !value.members.empty()) {
      fail(value.at, "over is a fact and its values", form);
      return;
    }
    over.fact = value.items[0].text;
    over.fact_at = value.items[0].at;
    const Tree& values = value.items[1];
    if (values.is(Tree::Kind::kNumber)) {
      counted(values, value.items.size() == 3 ? &value.items[2] : nullptr, over);
    } else if (values.is(Tree::Kind::kTable) && !values.items.empty() && values.members.empty()) {
      over.values = values.items;
    } else if (values.is(Tree::Kind::kTable) && values.items.empty()) {
      stepped(values, over);
    } else {
      fail(values.at, "over is a fact and its values", form);
    }
  }

  bool few_enough(double count, Spot at) {
    if (count >= 1 && count <= static_cast<double>(limits::kSweepValues)) return true;
    fail(at, "a sweep has 1 to " + std::to_string(limits::kSweepValues) + " values");
    return false;
  }

  void counted(const Tree& count, const Tree* pattern, SweepRange& over) {
    if (!few_enough(count.number, count.at)) return;
    const std::size_t place = pattern == nullptr ? std::string::npos : pattern->text.find("%d");
    if (pattern != nullptr && (!pattern->is(Tree::Kind::kText) || place == std::string::npos)) {
      fail(pattern->at, "the third part of over is a text with %d in it: \"s-%d\"");
      return;
    }
    for (int i = 1; i <= static_cast<int>(count.number); ++i) {
      Tree value;
      value.at = count.at;
      if (pattern == nullptr) {
        value.kind = Tree::Kind::kNumber;
        value.number = i;
      } else {
        value.kind = Tree::Kind::kText;
        value.text = pattern->text;
        value.text.replace(place, 2, std::to_string(i));
      }
      over.values.push_back(std::move(value));
    }
  }

  void stepped(const Tree& range, SweepRange& over) {
    double from = 0;
    double to = 0;
    double step = 1;
    for (const Tree::Member& member : range.members) {
      double* part = member.key == "from"   ? &from
                     : member.key == "to"   ? &to
                     : member.key == "step" ? &step
                                            : nullptr;
      if (part == nullptr || !member.value.is(Tree::Kind::kNumber)) {
        fail(member.at, "a range has the numbers from, to and step");
        return;
      }
      *part = member.value.number;
    }
    if (!(step > 0) || !(to >= from) || !few_enough(std::floor((to - from) / step) + 1, range.at)) {
      if (!(step > 0) || !(to >= from)) fail(range.at, "a range goes up: from <= to, step > 0");
      return;
    }
    const auto count = static_cast<std::size_t>(std::floor((to - from) / step)) + 1;
    for (std::size_t i = 0; i < count; ++i) {
      Tree value;
      value.at = range.at;
      value.kind = Tree::Kind::kNumber;
      value.number = from + step * static_cast<double>(i);
      over.values.push_back(std::move(value));
    }
  }

  std::shared_ptr<const SourceFile> file_;
  const Files& files_;
  std::vector<config::Diagnostic>& diagnostics_;
  std::shared_ptr<const Tree> base_;
  std::vector<TestCase> tests_;
};

/// Looks for test files.
class Search {
 public:
  Search(const Files& files, std::vector<config::Diagnostic>& diagnostics)
      : files_(files), diagnostics_(diagnostics) {}

  void visit(const std::string& path) {
    if (path.ends_with(".lua") || path.ends_with(".jsonl")) {
      take(path, true);
    } else if (!files_.list(path).empty()) {
      folder(path, 0);
    } else {
      config::Diagnostic diagnostic;
      diagnostic.where.file = path;
      diagnostic.message = files_.exists(path)
                               ? "this is no test file: tests are *_test.lua, *.test.lua or *.jsonl"
                               : "there is no such file or folder";
      diagnostics_.push_back(std::move(diagnostic));
    }
  }

  std::vector<std::shared_ptr<const SourceFile>> found;

 private:
  void folder(const std::string& path, std::size_t depth) {
    for (const std::string& name : files_.list(path)) {
      if (++entries_ > limits::kTestFolderEntries) return;
      if (name.starts_with('.') || name == "node_modules" || name == "build") continue;
      const std::string inner = path + "/" + name;
      if (is_lua_test(name) || name.ends_with(".jsonl")) {
        take(inner, false);
      } else if (depth < limits::kTestFolderDepth && name.find('.') == std::string::npos && !stands_alone(inner)) {
        folder(inner, depth + 1);
      }
    }
  }

  // Another configuration, or a pack: its tests are about its own rules.
  [[nodiscard]] bool stands_alone(const std::string& path) const {
    return files_.exists(path + "/ccrules.json") || files_.exists(path + "/pack.json");
  }

  void take(const std::string& path, bool asked_for) {
    auto file = std::make_shared<SourceFile>(SourceFile{path, path, {}});
    Result<std::string> text = files_.read(path);
    if (!text.ok()) {
      diagnostics_.push_back(file->error({}, text.error().message));
      return;
    }
    file->text = *std::move(text);
    // A folder may hold other files of that kind.
    if (path.ends_with(".jsonl") && !asked_for && file->text.find("\"expect\"") == std::string::npos) return;
    const auto same = [&path](const std::shared_ptr<const SourceFile>& other) { return other->path == path; };
    if (std::none_of(found.begin(), found.end(), same)) found.push_back(std::move(file));
  }

  const Files& files_;
  std::vector<config::Diagnostic>& diagnostics_;
  std::size_t entries_ = 0;
};

}  // namespace

const char* kind_name(TestCase::Kind kind) noexcept {
  switch (kind) {
    case TestCase::Kind::kCase:
      return "case";
    case TestCase::Kind::kSweep:
      return "sweep";
    case TestCase::Kind::kFlow:
      return "flow";
  }
  return "case";
}

bool read_tests(const std::shared_ptr<const SourceFile>& file, const Files& files,
                std::vector<TestCase>& tests, std::vector<config::Diagnostic>& diagnostics) {
  const std::size_t before = diagnostics.size();
  TestReader reader(file, files, diagnostics);
  std::vector<TestCase> read = file->path.ends_with(".jsonl") ? reader.lines() : reader.lua();
  if (diagnostics.size() != before) return false;
  std::move(read.begin(), read.end(), std::back_inserter(tests));
  return true;
}

std::vector<std::shared_ptr<const SourceFile>> find_test_files(const std::vector<std::string>& paths,
                                                               const Files& files,
                                                               std::vector<config::Diagnostic>& diagnostics) {
  Search search(files, diagnostics);
  for (const std::string& path : paths) search.visit(path);
  return std::move(search.found);
}

}  // namespace ccrules::rules

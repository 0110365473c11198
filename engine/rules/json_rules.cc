#include "rules/json_rules.h"

#include "config/source.h"
#include "core/limits.h"
#include "core/text.h"
#include "rules/json_tree.h"

namespace ccrules::rules {
namespace {

class JsonRules {
 public:
  JsonRules(const SourceFile& file, std::vector<Declaration>& declarations, std::vector<config::Diagnostic>& diagnostics)
      : file_(file), declarations_(declarations), diagnostics_(diagnostics) {}

  bool load() {
    const std::size_t before = diagnostics_.size();
    if (file_.text.size() > limits::kRuleFileBytes) {
      fail({}, "the file is larger than " + std::to_string(limits::kRuleFileBytes >> 20U) + " MiB");
      return false;
    }
    std::optional<std::size_t> unclosed;
    const std::string text = config::blank_comments(file_.text, unclosed);
    if (unclosed) {
      fail(place(*unclosed), "this comment does not end");
      return false;
    }
    Result<Tree> root = read_json(text, Spot{1, 1});
    if (!root.ok()) {
      fail(place_of(root.error(), text, {1, 1}), "not valid JSON: " + root.error().message);
      return false;
    }
    if (!root->is(Tree::Kind::kTable) || !root->items.empty()) {
      fail(root->at, "a rule file is an object: { \"rules\": [ ... ] }");
      return false;
    }
    for (Tree::Member& member : root->members) section(member);
    return diagnostics_.size() == before;
  }

 private:
  void fail(Spot at, std::string message, std::string hint = {}) {
    diagnostics_.push_back(file_.error(at, std::move(message), std::move(hint)));
  }

  [[nodiscard]] Spot place(std::size_t offset) const {
    Spot at{1, 1};
    for (std::size_t i = 0; i < offset && i < file_.text.size(); ++i) {
      at.column = file_.text[i] == '\n' ? 1 : at.column + 1;
      at.line += file_.text[i] == '\n' ? 1 : 0;
    }
    return at;
  }

  void section(Tree::Member& member) {
    const bool object = member.value.is(Tree::Kind::kTable) && member.value.items.empty();
    const bool list = member.value.is(Tree::Kind::kTable) && member.value.members.empty();
    if (member.key == "rules") {
      if (!list) fail(member.value.at, "rules is a list of objects: [ { \"name\": \"night\", \"when\": {}, \"to\": \"cheap\" } ]");
      if (!list) return;
      if (member.value.items.size() > limits::kRules) {
        fail(member.value.at, "too many rules in one file");
        return;
      }
      for (Tree& item : member.value.items) rule(item);
    } else if (member.key == "alias") {
      if (object) {
        declare("alias", {}, member.at, std::move(member.value));
      } else {
        fail(member.value.at, "alias is an object of names: { \"cheap\": \"provider,model\" }");
      }
    } else if (member.key == "override") {
      if (!object) fail(member.value.at, "override is an object: { \"default#background\": { \"off\": true } }");
      for (Tree::Member& one : member.value.members) declare("override", one.key, one.at, std::move(one.value));
    } else if (member.key != "$schema") {
      const std::vector<std::string> known = {"rules", "alias", "override"};
      const std::string near = text::did_you_mean(member.key, known);
      fail(member.at, "a rule file has no '" + member.key + "'",
           near.empty() ? std::string("it has rules, alias, override") : "did you mean '" + near + "'?");
    }
  }

  void rule(Tree& body) {
    if (!body.is(Tree::Kind::kTable) || !body.items.empty()) {
      fail(body.at, "a rule is an object: { \"name\": \"night\", \"when\": {}, \"to\": \"cheap\" }");
      return;
    }
    const Tree::Member* name = body.find("name");
    if (name == nullptr || !name->value.is(Tree::Kind::kText) || name->value.text.empty()) {
      fail(name == nullptr ? body.at : name->value.at, "a rule needs a name: { \"name\": \"night\", ... }");
      return;
    }
    const std::string called = name->value.text;
    const Spot at = name->value.at;
    std::erase_if(body.members, [](const Tree::Member& member) { return member.key == "name"; });
    for (Tree::Member& member : body.members) {
      if (member.key == "to" || member.key == "fallback") target_word(member.value);
      if (member.key == "set" || member.key == "headers") {
        for (Tree::Member& part : member.value.members) removal(part.value);
      }
    }
    declare("rule", called, at, std::move(body));
  }

  // null: what Lua writes as `remove`.
  static void removal(Tree& value) {
    if (!value.is(Tree::Kind::kNil)) return;
    value.kind = Tree::Kind::kMarker;
    value.text = "remove";
  }

  // {"requested": true}, {"serving": true}, {"pick": {...}}.
  static void target_word(Tree& value) {
    if (!value.is(Tree::Kind::kTable) || !value.items.empty() || value.members.size() != 1) return;
    const std::string word = value.members.front().key;
    if (word != "requested" && word != "serving" && word != "pick") return;
    Tree inner = std::move(value.members.front().value);
    value.members.clear();
    if (word == "pick" && inner.is(Tree::Kind::kTable)) value.members = std::move(inner.members);
    value.kind = Tree::Kind::kMarker;
    value.text = word;
  }

  void declare(const char* callee, std::string name, Spot at, Tree body) {
    Declaration declaration;
    declaration.callee = callee;
    declaration.name = std::move(name);
    declaration.at = at;
    declaration.body = std::move(body);
    declaration.file = &file_;
    declarations_.push_back(std::move(declaration));
  }

  const SourceFile& file_;
  std::vector<Declaration>& declarations_;
  std::vector<config::Diagnostic>& diagnostics_;
};

}  // namespace

bool load_json_rules(const SourceFile& file, std::vector<Declaration>& declarations,
                     std::vector<config::Diagnostic>& diagnostics) {
  return JsonRules(file, declarations, diagnostics).load();
}

}  // namespace ccrules::rules

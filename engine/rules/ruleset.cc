#include "rules/ruleset.h"

#include <algorithm>

#include "core/digest.h"
#include "core/embedded.h"
#include "core/limits.h"
#include "core/text.h"

namespace ccrules::rules {
namespace {

constexpr std::string_view kPrelude = "rules/prelude/rules.lua";
constexpr std::string_view kDefaultPack = "rules/default/";

/// Reads "text {fact} text"; "{{" is a brace.
Template compile_template(const Tree& tree, bool on_error, Problems& problems) {
  Template out;
  if (!tree.is(Tree::Kind::kText)) {
    problems.push_back({tree.at, std::string("reason is a string, not ") + tree.kind_name(), {}});
    return out;
  }
  const std::string_view text = tree.text;
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::size_t close = text[i] == '{' ? text.find('}', i) : std::string_view::npos;
    if (text[i] == '{' && i + 1 < text.size() && text[i + 1] == '{') {
      plain += text[i++];
    } else if (close != std::string_view::npos) {
      const api::FactRow* row = usable_fact(text.substr(i + 1, close - i - 1), tree.at, on_error, problems);
      if (!plain.empty()) out.parts.push_back({std::move(plain), false, {}});
      plain.clear();
      if (row != nullptr) out.parts.push_back({{}, true, row->id});
      i = close;
    } else {
      plain += text[i];
    }
  }
  if (!plain.empty()) out.parts.push_back({std::move(plain), false, {}});
  return out;
}

Condition never(std::string shown, std::string actual) {
  Condition condition;
  condition.op = Condition::Op::kNever;
  condition.shown = std::move(shown);
  condition.actual = std::move(actual);
  return condition;
}

Condition both(Condition first, Condition second) {
  if (second.op == Condition::Op::kAll && second.children.empty()) return first;
  Condition condition;
  condition.uses_lua = first.uses_lua || second.uses_lua;
  condition.shown = first.shown + " and " + second.shown;
  condition.children.push_back(std::move(first));
  condition.children.push_back(std::move(second));
  return condition;
}

bool uses_lua(const Rule& rule) {
  return rule.when.uses_lua || rule.to.kind == TargetEffect::Kind::kFunction ||
         rule.fallback.kind == TargetEffect::Kind::kFunction || rule.deny.kind == DenyEffect::Kind::kFunction ||
         !rule.set.functions.empty() || rule.set.function != 0 || !rule.headers.functions.empty() || rule.headers.function != 0 ||
         !rule.tag.functions.empty() || rule.tag.function != 0 || rule.retry.function != 0 || rule.next_fallback_function != 0;
}

class Loader {
 public:
  Loader(const config::Snapshot& snapshot, const Files& files, std::vector<config::Diagnostic>& diagnostics)
      : snapshot_(snapshot), files_(files), diagnostics_(diagnostics), set_(std::make_unique<RuleSet>(snapshot)) {}

  std::unique_ptr<RuleSet> load() {
    const auto is_error = [](const config::Diagnostic& diagnostic) { return !diagnostic.warning; };
    const std::size_t before = diagnostics_.size();
    Script* own = add_script();
    if (own != nullptr) {
      for (const std::string& path : snapshot_.rules) load_path(path, *own, true);
      own->freeze();
    }
    std::vector<Declaration> declared = std::move(declarations_);
    declarations_.clear();
    Script* built_in = add_script();
    if (built_in != nullptr) load_default_pack(*built_in);
    std::vector<Declaration> defaults = std::move(declarations_);

    read_aliases(declared);
    check_configuration();
    read_overrides(declared);
    compile(declared, {}, own);
    compile(defaults, "default", built_in);
    check_overrides();
    drop_idle_scripts();
    hash_sources();
    const auto from = diagnostics_.begin() + static_cast<std::ptrdiff_t>(before);
    return std::none_of(from, diagnostics_.end(), is_error) ? std::move(set_) : nullptr;
  }

 private:
  void fail(const SourceFile& file, Spot at, std::string message, std::string hint = {}) {
    diagnostics_.push_back(file.error(at, std::move(message), std::move(hint)));
  }

  void report(const SourceFile& file, const Problems& problems) {
    for (const Problem& problem : problems) fail(file, problem.at, problem.message, problem.hint);
  }

  Script* add_script() {
    std::string error;
    std::unique_ptr<Script> script = Script::create(kPrelude, error);
    if (script == nullptr || !script->set_config(snapshot_, error)) {
      config::Diagnostic diagnostic;
      diagnostic.message = "the rule engine could not start: " + error;
      diagnostics_.push_back(std::move(diagnostic));
      return nullptr;
    }
    set_->scripts.push_back(std::move(script));
    return set_->scripts.back().get();
  }

  // What the configuration says about targets is as much a rule as a rule file. After the aliases: they may be named there.
  void check_configuration() {
    for (const auto& [name, route] : snapshot_.routes) {
      TargetProblem problem;
      if (set_->targets.route(name, problem)) continue;
      diagnostics_.push_back({route.where, "routes." + name + ": " + problem.message, problem.hint, {}, false});
    }
    for (const auto& [name, target] : snapshot_.agents) check_configured("agents." + name, target);
    for (const auto& [name, target] : snapshot_.tiers) check_configured("tiers." + name, target);
    for (const auto& [glob, targets] : snapshot_.fallbacks) {
      for (const std::string& target : targets) check_configured("fallbacks." + glob, target);
    }
  }

  void check_configured(const std::string& path, const std::string& target) {
    if (const auto alias = set_->aliases.find(target); alias != set_->aliases.end()) alias->second.used = true;
    TargetProblem problem;
    if (set_->targets.configured(target, problem)) return;
    // The snapshot keeps no place for these: find the text in the file.
    config::Diagnostic diagnostic{{snapshot_.file, 0, 0}, path + ": " + problem.message, problem.hint, {}, false};
    const Result<std::string> text = snapshot_.file.empty() ? Result<std::string>(std::string()) : files_.read(snapshot_.file);
    const std::size_t at = text.ok() ? text->find('"' + target + '"') : std::string::npos;
    if (at != std::string::npos) {
      const std::size_t line_begin = text->rfind('\n', at) + 1;
      diagnostic.where.line = static_cast<int>(std::count(text->begin(), text->begin() + static_cast<std::ptrdiff_t>(at), '\n')) + 1;
      diagnostic.where.column = static_cast<int>(at - line_begin) + 1;
      diagnostic.source_line = text->substr(line_begin, text->find('\n', at) - line_begin);
    }
    diagnostics_.push_back(std::move(diagnostic));
  }

  std::string shown(const std::string& path) const {
    const std::size_t slash = snapshot_.file.rfind('/');
    if (slash != std::string::npos) {
      const std::string directory = snapshot_.file.substr(0, slash + 1);
      if (path.starts_with(directory)) return path.substr(directory.size());
    }
    return path;
  }

  static bool is_test_file(std::string_view path) { return path.ends_with("_test.lua") || path.ends_with(".test.lua"); }

  void load_path(const std::string& path, Script& script, bool named) {
    auto file = std::make_unique<SourceFile>();
    file->path = path;
    file->shown = shown(path);
    const std::vector<std::string> entries = path.ends_with(".lua") ? std::vector<std::string>() : files_.list(path);
    if (!entries.empty()) {
      if (std::find(entries.begin(), entries.end(), "pack.json") != entries.end()) {
        fail(*file, {}, "rule packs are not available in this version", "list the pack's Lua files instead");
        return;
      }
      for (const std::string& entry : entries) {
        if (entry.ends_with(".lua") && !is_test_file(entry)) load_path(path + "/" + entry, script, false);
      }
      return;
    }
    if (named && !path.ends_with(".lua")) {
      fail(*file, {}, path.ends_with(".json") ? "rules written as JSON are not available in this version"
                                              : "a rule file ends in .lua", {});
      return;
    }
    Result<std::string> text = files_.read(path);
    if (!text.ok()) {
      fail(*file, {}, text.error().message);
      return;
    }
    file->text = *std::move(text);
    set_->files.push_back(std::move(file));
    script.load(*set_->files.back(), declarations_, diagnostics_);
  }

  void load_default_pack(Script& script) {
    for (const embedded::Row& row : embedded::files()) {
      const std::string_view name = row.name;
      if (!name.starts_with(kDefaultPack) || !name.ends_with(".lua") || is_test_file(name)) continue;
      auto file = std::make_unique<SourceFile>();
      file->path = file->shown = std::string(name);
      file->text = std::string(row.text());
      set_->files.push_back(std::move(file));
      script.load(*set_->files.back(), declarations_, diagnostics_);
    }
    script.freeze();
  }

  void read_aliases(const std::vector<Declaration>& declared) {
    for (const Declaration& declaration : declared) {
      if (declaration.callee != "alias") continue;
      for (const Tree::Member& member : declaration.body.members) {
        if (!member.value.is(Tree::Kind::kText)) {
          fail(*declaration.file, member.value.at, "alias '" + member.key + "' must be a target such as \"provider,model\"");
        } else if (member.key.find(',') != std::string::npos) {
          fail(*declaration.file, member.at, "an alias has no comma in its name");
        } else if (!set_->targets.add_alias(member.key, member.value.text)) {
          fail(*declaration.file, member.at, "alias '" + member.key + "' is defined twice");
        } else {
          set_->aliases[member.key] = AliasPlace{declaration.file, member.value.at, false};
        }
      }
      if (!declaration.body.items.empty()) {
        fail(*declaration.file, declaration.at, "alias is a table of names: alias { cheap = \"provider,model\" }");
      }
    }
    for (const auto& [name, place] : set_->aliases) {
      TargetProblem problem;
      if (!set_->targets.resolve(name, problem)) fail(*place.file, place.at, problem.message, problem.hint);
    }
  }

  // --- overrides

  struct Override {
    std::string name;
    const SourceFile* file = nullptr;
    Spot at;
    bool off = false;
    bool used = false;
  };

  void read_overrides(const std::vector<Declaration>& declared) {
    for (const Declaration& declaration : declared) {
      if (declaration.callee != "override") continue;
      Override override{declaration.name, declaration.file, declaration.at, false, false};
      for (const Tree::Member& member : declaration.body.members) {
        if (member.key == "off" && member.value.is(Tree::Kind::kFlag)) {
          override.off = member.value.flag;
        } else {
          fail(*declaration.file, member.at, "override has no '" + member.key + "'", "an override has: off = true");
        }
      }
      overrides_.push_back(std::move(override));
    }
  }

  // "name" or "pack#name".
  bool switched_off(const std::string& name, const std::string& pack) {
    bool off = false;
    for (Override& override : overrides_) {
      if (override.name != name && override.name != pack + "#" + name) continue;
      override.used = true;
      off = off || override.off;
    }
    return off;
  }

  void check_overrides() {
    for (const Override& override : overrides_) {
      if (override.used) continue;
      const std::string near = text::did_you_mean(override.name, names_);
      fail(*override.file, override.at, "there is no rule '" + override.name + "' to override",
           near.empty() ? std::string("rules of the built-in pack are called \"default#name\"") : "did you mean '" + near + "'?");
    }
  }

  // --- rules

  void compile(const std::vector<Declaration>& declared, const std::string& pack, Script* script) {
    for (const Declaration& declaration : declared) {
      if (declaration.callee != "rule") continue;
      const std::string qualified = pack.empty() ? declaration.name : pack + "#" + declaration.name;
      if (std::find(names_.begin(), names_.end(), qualified) != names_.end()) {
        fail(*declaration.file, declaration.at, "a rule named '" + declaration.name + "' exists already");
        continue;
      }
      names_.push_back(qualified);
      Rule rule;
      rule.name = declaration.name;
      rule.pack = pack;
      rule.file = declaration.file;
      rule.at = declaration.at;
      rule.where = declaration.file->shown + ":" + std::to_string(declaration.at.line);
      rule.script = script;
      const bool off = read_rule(rule, declaration);
      if (off || switched_off(rule.name, pack)) continue;
      (rule.on_error ? set_->on_error : set_->on_request).push_back(std::move(rule));
    }
  }

  // True when the rule is switched off.
  bool read_rule(Rule& rule, const Declaration& declaration) {
    Problems problems;
    bool off = false;
    if (const Tree::Member* on = declaration.body.find("on")) {
      rule.on_error = on->value.text == "error";
      if (on->value.text == "response") {
        problems.push_back({on->value.at, "rules with on = \"response\" are not available in this version", {}});
      } else if (!rule.on_error && on->value.text != "request") {
        problems.push_back({on->value.at, "on is \"request\" or \"error\"", {}});
      }
    }
    for (const Tree& item : declaration.body.items) {
      problems.push_back({item.at, "a rule is a table of names: when, to, deny, set ...", "write name = value"});
    }
    for (const Tree::Member& member : declaration.body.members) {
      if (member.key == "when") {
        rule.when = compile_when(member.value, rule.on_error, problems);
      } else if (member.key == "off") {
        off = member.value.is(Tree::Kind::kFlag) && member.value.flag;
      } else if (member.key == "reason") {
        rule.reason = compile_template(member.value, rule.on_error, problems);
      } else if (member.key != "on" && member.key != "doc") {
        read_effect(rule, member, problems);
      }
    }
    refine(rule);
    report(*declaration.file, problems);
    return off;
  }

  void read_effect(Rule& rule, const Tree::Member& member, Problems& problems) {
    const api::EffectRow* row = api::find_effect(member.key);
    if (row == nullptr) {
      const bool is_fact = api::find_fact(member.key) != nullptr;
      problems.push_back({member.at, "unknown effect '" + member.key + "'",
                          is_fact ? "'" + member.key + "' is a fact: conditions stand in when = { ... }"
                                  : api::rule_key_hint(member.key)});
      return;
    }
    if (row->id == api::Effect::kUnavailable) {
      problems.push_back({member.at, "effect '" + member.key + "' is not available in this version", {}});
      return;
    }
    if (rule.on_error ? !row->on_error : !row->on_request) {
      problems.push_back({member.at,
                          rule.on_error ? "'" + member.key + "' has no meaning in a rule with on = \"error\""
                                        : "'" + member.key + "' is only for rules with on = \"error\"",
                          {}});
      return;
    }
    EffectReader reader(set_->targets, problems);
    note_aliases(member.value);
    switch (row->id) {
      case api::Effect::kTo:
        rule.to = reader.to(member.value);
        rule.to_at = member.at;
        break;
      case api::Effect::kFallback: rule.fallback = reader.fallback(member.value); break;
      case api::Effect::kDeny: rule.deny = reader.deny(member.value); break;
      case api::Effect::kSet: rule.set = reader.set(member.value); break;
      case api::Effect::kHeaders: rule.headers = reader.headers(member.value); break;
      case api::Effect::kTag: rule.tag = reader.tag(member.value); break;
      case api::Effect::kRetry: rule.retry = reader.retry(member.value); break;
      case api::Effect::kNextFallback:
        if (member.value.is(Tree::Kind::kFlag)) {
          rule.next_fallback = member.value.flag;
        } else if (member.value.is(Tree::Kind::kFunction)) {
          rule.next_fallback_function = member.value.ref;
        } else {
          problems.push_back({member.value.at, "next_fallback is true or false", {}});
        }
        break;
      case api::Effect::kUnavailable: break;
    }
  }

  void note_aliases(const Tree& value) {
    if (value.is(Tree::Kind::kText)) {
      const auto found = set_->aliases.find(value.text);
      if (found != set_->aliases.end()) found->second.used = true;
    }
    for (const Tree& item : value.items) note_aliases(item);
    for (const Tree::Member& member : value.members) note_aliases(member.value);
  }

  // Turns what an effect needs into conditions, so that traces say why such a rule did not take part.
  void refine(Rule& rule) {
    drop_disabled(rule.fallback);
    if (rule.to.kind == TargetEffect::Kind::kFixed && !rule.to.choices.empty() &&
        !set_->targets.enabled(rule.to.choices.front().target.provider)) {
      rule.when = both(never("provider " + rule.to.choices.front().target.provider + " is enabled", "disabled"),
                       std::move(rule.when));
    }
    drop_disabled(rule.to);
    for (TargetEffect* effect : {&rule.to, &rule.fallback}) {
      if (effect->kind != TargetEffect::Kind::kPick) continue;
      std::vector<std::string> names;
      for (const auto& [name, choices] : effect->pick.exact) names.push_back(name);
      for (const auto& [glob, choices] : effect->pick.globs) names.push_back(glob);
      for (const api::FactRow& row : api::facts()) {
        if (row.id != effect->pick.fact) continue;
        rule.when = both(names.empty() ? never("nothing is configured for any " + std::string(row.name), "")
                                       : compile_names(row, names),
                         std::move(rule.when));
        break;
      }
    }
  }

  void drop_disabled(TargetEffect& effect) {
    const auto disabled = [this](const Choice& choice) { return !set_->targets.enabled(choice.target.provider); };
    if (effect.kind == TargetEffect::Kind::kFixed) std::erase_if(effect.choices, disabled);
    for (auto& [name, choices] : effect.pick.exact) std::erase_if(choices, disabled);
    for (auto& [glob, choices] : effect.pick.globs) std::erase_if(choices, disabled);
    std::erase_if(effect.pick.exact, [](const auto& entry) { return entry.second.empty(); });
    std::erase_if(effect.pick.globs, [](const auto& entry) { return entry.second.empty(); });
  }

  // A Lua state whose rules are all declarative has done its work.
  void drop_idle_scripts() {
    std::erase_if(set_->scripts, [this](const std::unique_ptr<Script>& script) {
      const auto needs = [&script](const Rule& rule) { return rule.script == script.get() && uses_lua(rule); };
      if (std::any_of(set_->on_request.begin(), set_->on_request.end(), needs) ||
          std::any_of(set_->on_error.begin(), set_->on_error.end(), needs)) {
        return false;
      }
      for (std::vector<Rule>* rules : {&set_->on_request, &set_->on_error}) {
        for (Rule& rule : *rules) {
          if (rule.script == script.get()) rule.script = nullptr;
        }
      }
      return true;
    });
  }

  void hash_sources() {
    constexpr std::size_t kHashDigits = 16;
    std::string all;
    for (const auto& file : set_->files) {
      all += file->shown + '\0' + std::to_string(file->text.size()) + '\0' + file->text;
    }
    set_->hash = digest::sha256_hex(all).substr(0, kHashDigits);
  }

  const config::Snapshot& snapshot_;
  const Files& files_;
  std::vector<config::Diagnostic>& diagnostics_;
  std::unique_ptr<RuleSet> set_;
  std::vector<Declaration> declarations_;
  std::vector<Override> overrides_;
  std::vector<std::string> names_;
};

}  // namespace

std::string Template::render(Reader& reader) const {
  std::string out;
  for (const Part& part : parts) {
    if (!part.is_fact) {
      out += part.text;
      continue;
    }
    const Value value = reader.read(part.fact);
    if (value.kind == Value::Kind::kText) {
      out += value.text;
    } else {
      out += shown(value);
    }
  }
  return out;
}

bool Rule::has_effect() const {
  return to.kind != TargetEffect::Kind::kNone || fallback.kind != TargetEffect::Kind::kNone ||
         deny.kind != DenyEffect::Kind::kNone || !set.empty() || !headers.empty() || !tag.empty() ||
         retry.retry.has_value() || retry.function != 0 || next_fallback.has_value() || next_fallback_function != 0;
}

bool Rule::only_targets() const {
  return deny.kind == DenyEffect::Kind::kNone && set.empty() && headers.empty() && tag.empty();
}

std::unique_ptr<RuleSet> load_rules(const config::Snapshot& snapshot, const Files& files,
                                    std::vector<config::Diagnostic>& diagnostics) {
  return Loader(snapshot, files, diagnostics).load();
}

}  // namespace ccrules::rules

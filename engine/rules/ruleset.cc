#include "rules/ruleset.h"

#include <algorithm>
#include <array>

#include "core/digest.h"
#include "core/limits.h"
#include "core/text.h"
#include "rules/json_rules.h"

namespace ccrules::rules {
namespace {

constexpr std::string_view kPrelude = "rules/prelude/rules.lua";

/// Reads "text {fact} text"; "{{" is a brace.
Template compile_template(const Tree& tree, const RuleContext& context, Problems& problems) {
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
      const api::FactRow* row = usable_fact(text.substr(i + 1, close - i - 1), tree.at, context, problems);
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
  condition.about_target = first.about_target || second.about_target;
  condition.shown = first.shown + " and " + second.shown;
  condition.children.push_back(std::move(first));
  condition.children.push_back(std::move(second));
  return condition;
}

bool uses_lua(const Rule& rule) {
  return rule.when.uses_lua || rule.to.kind == TargetEffect::Kind::kFunction ||
         rule.fallback.kind == TargetEffect::Kind::kFunction || rule.deny.kind == DenyEffect::Kind::kFunction ||
         !rule.set.functions.empty() || rule.set.function != 0 || !rule.headers.functions.empty() || rule.headers.function != 0 ||
         !rule.tag.functions.empty() || rule.tag.function != 0 || rule.retry.function != 0 || rule.next_fallback_function != 0 ||
         rule.cache.function != 0 || rule.budget.function != 0 || rule.strict.function != 0;
}

std::optional<std::string> fixed_reason(const Rule& rule) {
  if (rule.reason.parts.empty()) return "rule '" + rule.name + "'";
  std::string text;
  for (const Template::Part& part : rule.reason.parts) {
    if (part.is_fact) return std::nullopt;
    text += part.text;
  }
  return text;
}

// Requests of one working directory, its folders included.
Condition of_project(const std::string& directory) {
  Condition condition;
  condition.op = Condition::Op::kAny;
  condition.fact = api::Fact::kProject;
  condition.shown = "project is " + directory;
  Condition same;
  same.op = Condition::Op::kText;
  same.fact = api::Fact::kProject;
  same.text = directory;
  Condition below = same;
  below.op = Condition::Op::kPrefix;
  below.text = directory + "/";
  condition.children.push_back(std::move(same));
  condition.children.push_back(std::move(below));
  return condition;
}

// True when a part of an effect is a function: what an enforced rule pins must be plain to read.
bool holds_function(const Tree& tree) {
  if (tree.is(Tree::Kind::kFunction)) return true;
  return std::any_of(tree.items.begin(), tree.items.end(), holds_function) ||
         std::any_of(tree.members.begin(), tree.members.end(),
                     [](const Tree::Member& member) { return holds_function(member.value); });
}

bool reads_target(const Tree& tree) {
  if (tree.about_target) return true;
  return std::any_of(tree.items.begin(), tree.items.end(), reads_target) ||
         std::any_of(tree.members.begin(), tree.members.end(),
                     [](const Tree::Member& member) { return reads_target(member.value); });
}

/// Everything one source declared.
struct Declared {
  const RuleSource* source = nullptr;
  Script* script = nullptr;  ///< null: no Lua files
  Targets* targets = nullptr;  ///< of its rules
  std::vector<Declaration> declarations;
};

class Loader {
 public:
  Loader(const config::Snapshot& snapshot, const Files& files, std::vector<config::Diagnostic>& diagnostics,
         const LoadHooks& hooks)
      : snapshot_(snapshot),
        files_(files),
        diagnostics_(diagnostics),
        hooks_(hooks),
        set_(std::make_unique<RuleSet>(snapshot, files)) {
    set_->log = hooks.log;
  }

  std::unique_ptr<RuleSet> load(const std::vector<RuleSource>& sources) {
    const auto is_error = [](const config::Diagnostic& diagnostic) { return !diagnostic.warning; };
    const std::size_t before = diagnostics_.size();
    std::vector<Declared> declared;
    for (const RuleSource& source : sources) declared.push_back(read(source));
    for (const Declared& each : declared) read_aliases(each);
    check_aliases();
    for (const Declared& each : declared) read_models(each);
    check_configuration();
    for (const Declared& each : declared) read_overrides(each);
    for (const Declared& each : declared) compile(each);
    check_overrides();
    drop_idle_scripts();
    set_->zones.seal();
    describe(sources);
    const auto from = diagnostics_.begin() + static_cast<std::ptrdiff_t>(before);
    return std::none_of(from, diagnostics_.end(), is_error) ? std::move(set_) : nullptr;
  }

 private:
  void fail(const SourceFile& file, Spot at, std::string message, std::string hint = {}) {
    diagnostics_.push_back(file.error(at, std::move(message), std::move(hint)));
  }

  void report(const SourceFile& file, const Problems& problems) {
    for (const Problem& problem : problems) {
      if (!is_told(file, problem.at)) fail(file, problem.at, problem.message, problem.hint);
    }
  }

  Script* add_script(const Grants& grants, const Targets& targets) {
    std::string error;
    std::unique_ptr<Script> script = Script::create(kPrelude, error, grants);
    if (script == nullptr || !script->set_config(snapshot_, error)) {
      config::Diagnostic diagnostic;
      diagnostic.message = "the rule engine could not start: " + error;
      diagnostics_.push_back(std::move(diagnostic));
      return nullptr;
    }
    script->set_targets(&targets);
    script->set_zones(&set_->zones);
    set_->scripts.push_back(std::move(script));
    return set_->scripts.back().get();
  }

  Declared read(const RuleSource& source) {
    Declared out;
    out.source = &source;
    out.targets = &set_->targets;
    if (!source.models.empty()) out.targets = set_->pack_targets.emplace_back(std::make_unique<Targets>(set_->targets)).get();
    for (const RuleSource::File& named : source.files) {
      auto file = std::make_unique<SourceFile>();
      file->path = named.path;
      file->shown = shown(named.path);
      if (named.text != nullptr) {
        file->text = *named.text;
      } else {
        Result<std::string> text = files_.read(named.path);
        if (!text.ok()) {
          fail(*file, {}, text.error().message);
          continue;
        }
        file->text = *std::move(text);
      }
      set_->files.push_back(std::move(file));
      if (named.made) made_.push_back(set_->files.back().get());
      read(*set_->files.back(), out);
    }
    if (out.script != nullptr) out.script->freeze();
    if (hooks_.declared && source.pack == hooks_.pack) hooks_.declared(out.declarations);
    return out;
  }

  void read(const SourceFile& file, Declared& out) {
    if (file.path.ends_with(".json")) {
      load_json_rules(file, out.declarations, diagnostics_);
      return;
    }
    if (out.source->data_only) {
      fail(file, {}, "pack '" + out.source->pack + "' is of kind data and may not hold Lua", "write its rules as rules.json");
      return;
    }
    if (out.script == nullptr) {
      out.script = add_script(out.source->grants, *out.targets);
      if (out.script != nullptr && hooks_.lines != nullptr && out.source->pack == hooks_.pack) out.script->note_lines(hooks_.lines);
    }
    if (out.script != nullptr) out.script->load(file, out.declarations, diagnostics_);
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

  // A name means what the highest layer says; within one source it is defined once.
  void read_aliases(const Declared& declared) {
    std::vector<std::string> own;
    for (const Declaration& declaration : declared.declarations) {
      if (declaration.callee != "alias") continue;
      for (const Tree::Member& member : declaration.body.members) {
        if (!member.value.is(Tree::Kind::kText)) {
          fail(*declaration.file, member.value.at, "alias '" + member.key + "' must be a target such as \"provider,model\"");
        } else if (member.key.find(',') != std::string::npos) {
          fail(*declaration.file, member.at, "an alias has no comma in its name");
        } else if (std::find(own.begin(), own.end(), member.key) != own.end()) {
          fail(*declaration.file, member.at, "alias '" + member.key + "' is defined twice");
        } else {
          own.push_back(member.key);
          const bool added = set_->targets.add_alias(member.key, member.value.text);
          if (!added) continue;
          const bool made = std::find(made_.begin(), made_.end(), declaration.file) != made_.end();
          set_->aliases[member.key] = AliasPlace{declaration.file, member.value.at, false, declared.source->layer, made};
        }
      }
      if (!declaration.body.items.empty()) {
        fail(*declaration.file, declaration.at, "alias is a table of names: alias { cheap = \"provider,model\" }");
      }
    }
  }

  void check_aliases() {
    for (const auto& [name, place] : set_->aliases) {
      TargetProblem problem;
      if (place.made || set_->targets.resolve(name, problem)) continue;
      fail(*place.file, place.at, problem.message, problem.hint);
      broken_.push_back(name);
    }
  }

  // After all aliases: those of the user's own files come before what a pack suggests.
  void read_models(const Declared& declared) {
    const RuleSource& source = *declared.source;
    if (source.models.empty()) return;
    *declared.targets = set_->targets;
    for (const auto& [alias, model] : source.models) {
      const auto found = set_->aliases.find(alias);
      const bool own = found != set_->aliases.end() && found->second.layer <= Layer::kUser;
      if (model.chosen || !own) declared.targets->set_alias(alias, model.target);
    }
    for (const auto& [alias, model] : source.models) {
      TargetProblem problem;
      if (declared.targets->resolve(alias, problem)) continue;
      diagnostics_.push_back({source.installed_at, "pack " + source.pack + ": its alias '" + alias + "' stands for '" + model.target +
                                                       "', but " + problem.message, problem.hint, {}, false});
      broken_.push_back(alias);
    }
  }

  /// True when a rule names an alias there that was found wrong at its own place.
  bool is_told(const SourceFile& file, Spot at) const {
    const std::string_view line = file.line(at.line);
    if (at.column < 1 || static_cast<std::size_t>(at.column) > line.size()) return false;
    const std::string_view there = line.substr(static_cast<std::size_t>(at.column) - 1);
    return std::any_of(broken_.begin(), broken_.end(), [there](const std::string& name) {
      return there.starts_with('"' + name + '"') || there.starts_with('\'' + name + '\'');
    });
  }

  // --- overrides

  struct Override {
    std::string name;
    Layer layer = Layer::kUser;
    const SourceFile* file = nullptr;
    Spot at;
    bool off = false;
    bool used = false;
  };

  void read_overrides(const Declared& declared) {
    for (const Declaration& declaration : declared.declarations) {
      if (declaration.callee != "override") continue;
      const Layer layer = declared.source->layer;
      if (layer != Layer::kEnforced && layer != Layer::kUser) {
        fail(*declaration.file, declaration.at, "only your own rule files may override rules of others",
             "remove it, and tell users of the pack to write it");
        continue;
      }
      Override override{declaration.name, layer, declaration.file, declaration.at, false, false};
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
  bool switched_off(const Rule& rule) {
    bool off = false;
    for (Override& override : overrides_) {
      if (override.name != rule.name && override.name != rule.pack + "#" + rule.name) continue;
      override.used = true;
      if (override.layer > rule.layer) {
        fail(*override.file, override.at, "rule '" + rule.name + "' is enforced and cannot be overridden");
        continue;
      }
      if (!override.off) continue;
      off = true;
      ref_.overrides.push_back({rule.pack.empty() ? rule.name : rule.pack + "#" + rule.name,
                                override.file->shown + ":" + std::to_string(override.at.line)});
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

  void compile(const Declared& declared) {
    const RuleSource& source = *declared.source;
    for (const Declaration& declaration : declared.declarations) {
      if (declaration.callee != "rule") continue;
      const std::string qualified = source.pack.empty() ? declaration.name : source.pack + "#" + declaration.name;
      const std::string unique = std::string(layer_name(source.layer)) + " " + source.project + " " + qualified;
      if (std::find(taken_.begin(), taken_.end(), unique) != taken_.end()) {
        fail(*declaration.file, declaration.at, "a rule named '" + declaration.name + "' exists already");
        continue;
      }
      taken_.push_back(unique);
      names_.push_back(qualified);
      Rule rule;
      rule.name = declaration.name;
      rule.pack = source.pack;
      rule.layer = source.layer;
      rule.file = declaration.file;
      rule.at = declaration.at;
      rule.where = declaration.file->shown + ":" + std::to_string(declaration.at.line);
      rule.script = declared.script;
      rule.context.grants = source.grants;
      rule.context.targets = declared.targets;
      rule.context.zones = &set_->zones;
      const bool off = read_rule(rule, declaration);
      if (off || switched_off(rule)) continue;
      if (!source.project.empty()) rule.when = both(of_project(source.project), std::move(rule.when));
      rule.uses_lua = ccrules::rules::uses_lua(rule);
      rule.reason_text = fixed_reason(rule);
      rule.number = set_->rule_count++;
      rules_of(rule).push_back(std::move(rule));
    }
  }

  std::vector<Rule>& rules_of(const Rule& rule) {
    switch (rule.context.on) {
      case api::On::kRequest: break;
      case api::On::kError: return set_->on_error;
      case api::On::kResponse: return set_->on_response;
    }
    return rule.about_target ? set_->about_target : set_->on_request;
  }

  // True when the rule is switched off.
  bool read_rule(Rule& rule, const Declaration& declaration) {
    Problems problems;
    bool off = false;
    if (const Tree::Member* on = declaration.body.find("on")) read_phase(rule, on->value, problems);
    for (const Tree& item : declaration.body.items) {
      problems.push_back({item.at, "a rule is a table of names: when, to, deny, set ...", "write name = value"});
    }
    for (const Tree::Member& member : declaration.body.members) {
      if (member.key == "when") {
        rule.when = compile_when(member.value, rule.context, problems);
      } else if (member.key == "off") {
        off = member.value.is(Tree::Kind::kFlag) && member.value.flag;
      } else if (member.key == "reason") {
        rule.reason = compile_template(member.value, rule.context, problems);
      } else if (member.key != "on" && member.key != "doc") {
        read_effect(rule, member, problems);
      }
    }
    check_target_rule(rule, declaration, problems);
    refine(rule);
    report(*declaration.file, problems);
    return off;
  }

  static void read_phase(Rule& rule, const Tree& on, Problems& problems) {
    for (const api::On phase : {api::On::kRequest, api::On::kError, api::On::kResponse}) {
      if (on.text != api::on_name(phase)) continue;
      rule.context.on = phase;
      if (rule.layer == Layer::kEnforced && phase != api::On::kRequest) {
        problems.push_back({on.at, "an enforced rule decides on requests: it may deny, limit and pin", {}});
      }
      return;
    }
    problems.push_back({on.at, "on is \"request\", \"error\" or \"response\"", {}});
  }

  // A rule that waits for the targets cannot choose them.
  static void check_target_rule(Rule& rule, const Declaration& declaration, Problems& problems) {
    rule.about_target = rule.when.about_target;
    for (const Tree::Member& member : declaration.body.members) {
      if (member.key != "when" && member.key != "reason") rule.about_target = rule.about_target || reads_target(member.value);
    }
    if (!rule.about_target) return;
    if (rule.context.on != api::On::kRequest) {
      problems.push_back({declaration.at, "target_provider and provider_class are facts of requests; after an attempt read provider", {}});
    }
    for (const Tree::Member& member : declaration.body.members) {
      if (api::find_effect(member.key) == nullptr || member.key == "deny" || member.key == "tag") continue;
      problems.push_back({member.at, "a rule that reads target_provider or provider_class may only deny and tag",
                          "it is judged once the targets are known; provider names in other rules pin them"});
    }
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
    const bool on_request = rule.context.on == api::On::kRequest;
    if (on_request ? !row->on_request : !row->on_attempt) {
      problems.push_back({member.at,
                          on_request ? "'" + member.key + "' is only for rules with on = \"error\" or on = \"response\""
                                     : "'" + member.key + "' has no meaning in a rule with on = \"" +
                                           api::on_name(rule.context.on) + "\"",
                          {}});
      return;
    }
    if (rule.layer == Layer::kEnforced && row->id != api::Effect::kDeny && holds_function(member.value)) {
      problems.push_back({member.value.at, "an enforced rule may deny, limit and pin: '" + member.key + "' takes fixed values here", {}});
      return;
    }
    EffectReader reader(rule.context, problems);
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
      case api::Effect::kCache: rule.cache = reader.cache(member.value); break;
      case api::Effect::kBudget: rule.budget = reader.budget(member.value); break;
      case api::Effect::kStrict: rule.strict = reader.strict(member.value); break;
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
      const api::FactRow& row = api::fact_row(effect->pick.fact);
      rule.when = both(names.empty() ? never("nothing is configured for any " + std::string(row.name), "")
                                     : compile_names(row, names),
                       std::move(rule.when));
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

  std::array<std::vector<Rule>*, 4> all_rules() {
    return {&set_->on_request, &set_->about_target, &set_->on_error, &set_->on_response};
  }

  // A Lua state whose rules are all declarative has done its work.
  void drop_idle_scripts() {
    std::erase_if(set_->scripts, [this](const std::unique_ptr<Script>& script) {
      const auto needs = [&script](const Rule& rule) { return rule.script == script.get() && rule.uses_lua; };
      for (const std::vector<Rule>* rules : all_rules()) {
        if (std::any_of(rules->begin(), rules->end(), needs)) return false;
      }
      for (std::vector<Rule>* rules : all_rules()) {
        for (Rule& rule : *rules) {
          if (rule.script == script.get()) rule.script = nullptr;
        }
      }
      return true;
    });
  }

  void describe(const std::vector<RuleSource>& sources) {
    constexpr std::size_t kHashDigits = 16;
    std::string all;
    for (const RuleSource& source : sources) {
      all += std::string(layer_name(source.layer)) + '\0' + source.pack + '\0' + source.project + '\0';
      all += std::string(1, source.grants.headers ? 'h' : '-') + (source.grants.text ? 't' : '-') + (source.grants.spend ? 's' : '-');
      if (!source.pack.empty()) ref_.packs.push_back({source.pack, source.version, layer_name(source.layer)});
    }
    for (const auto& file : set_->files) {
      all += file->shown + '\0' + std::to_string(file->text.size()) + '\0' + file->text;
    }
    ref_.hash = digest::sha256_hex(all).substr(0, kHashDigits);
    set_->ref = std::make_shared<const RuleSetRef>(std::move(ref_));
  }

  const config::Snapshot& snapshot_;
  const Files& files_;
  std::vector<config::Diagnostic>& diagnostics_;
  const LoadHooks& hooks_;
  std::unique_ptr<RuleSet> set_;
  RuleSetRef ref_;
  std::vector<Override> overrides_;
  std::vector<std::string> names_;  // "pack#name", for did-you-mean
  std::vector<std::string> taken_;
  std::vector<const SourceFile*> made_;
  std::vector<std::string> broken_;  // aliases that stand for nothing
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
         cache.policy.has_value() || cache.function != 0 || !budget.scope.empty() || budget.function != 0 ||
         !strict.empty() || retry.retry.has_value() || retry.function != 0 || next_fallback.has_value() || next_fallback_function != 0;
}

bool Rule::only_targets() const {
  return deny.kind == DenyEffect::Kind::kNone && set.empty() && headers.empty() && tag.empty() && !cache.policy &&
         cache.function == 0 && budget.scope.empty() && budget.function == 0 && strict.empty();
}

std::unique_ptr<RuleSet> load_rules(const config::Snapshot& snapshot, const Files& files, std::vector<RuleSource> sources,
                                    std::vector<config::Diagnostic>& diagnostics,
                                    const LoadHooks* hooks) {
  std::stable_sort(sources.begin(), sources.end(),
                   [](const RuleSource& a, const RuleSource& b) { return a.layer < b.layer; });
  return Loader(snapshot, files, diagnostics, hooks != nullptr ? *hooks : LoadHooks{}).load(sources);
}

std::vector<const std::vector<Rule>*> rule_lists(const RuleSet& set) {
  return {&set.on_request, &set.about_target, &set.on_error, &set.on_response};
}

}  // namespace ccrules::rules

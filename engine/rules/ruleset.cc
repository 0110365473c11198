#include "rules/ruleset.h"

#include <algorithm>
#include <array>

#include "core/digest.h"
#include "rules/compile_rule.h"
#include "rules/json_rules.h"
#include "rules/overrides.h"

namespace ccrules::rules {
namespace {

constexpr std::string_view kPrelude = "rules/prelude/rules.lua";

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
        set_(std::make_unique<RuleSet>(snapshot, files)),
        overrides_(diagnostics) {
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
    for (const Declared& each : declared) overrides_.read(each.declarations, each.source->layer);
    for (const Declared& each : declared) compile(each);
    overrides_.check(names_);
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
      Problems problems;
      const bool off = RuleCompiler(*set_).compile(rule, declaration, problems);
      report(*declaration.file, problems);
      if (off || overrides_.switch_off(rule, ref_)) continue;
      if (!source.project.empty()) confine(rule, source.project);
      rule.uses_lua = uses_lua(rule);
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
  Overrides overrides_;
  std::vector<std::string> names_;  // "pack#name", for did-you-mean
  std::vector<std::string> taken_;
  std::vector<const SourceFile*> made_;
  std::vector<std::string> broken_;  // aliases that stand for nothing
};

}  // namespace

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

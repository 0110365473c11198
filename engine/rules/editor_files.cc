#include "rules/editor_files.h"

#include <algorithm>
#include <map>

#include "core/json.h"
#include "core/text.h"
#include "rules/api.h"

namespace ccrules::rules {
namespace {

using api::Kind;

bool ends_with(std::string& text, std::string_view end) {
  if (!text.ends_with(end)) return false;
  text.erase(text.size() - end.size());
  return true;
}

std::string class_of(std::string_view fact) {
  std::string out = "ccrules.";
  bool upper = true;
  for (const char c : fact) {
    if (c == '_' || c == '.') {
      upper = true;
      continue;
    }
    out += upper && c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    upper = false;
  }
  return out;
}

// Members of a fact that is a table: rows called "time.hour".
std::vector<const api::FactRow*> parts_of(std::string_view fact) {
  std::vector<const api::FactRow*> parts;
  const std::string prefix = std::string(fact) + ".";
  for (const api::FactRow& row : api::facts()) {
    if (std::string_view(row.name).starts_with(prefix)) parts.push_back(&row);
  }
  return parts;
}

bool is_part(const api::FactRow& row) { return std::string_view(row.name).find('.') != std::string_view::npos; }

std::string_view last_name(std::string_view name) { return name.substr(name.rfind('.') + 1); }

// "function(name, key) -> number or nil" as a type of the language server.
std::string function_type(const std::string& type) {
  const std::size_t close = type.find(')');
  const std::size_t arrow = type.find("-> ");
  std::string out = "fun(";
  for (const std::string_view part : text::split(std::string_view(type).substr(9, close - 9), ',')) {
    if (text::trim(part).empty()) continue;
    if (!out.ends_with('(')) out += ", ";
    out += std::string(text::trim(part)) + "?: string";
  }
  std::string result = arrow == std::string::npos ? std::string("any") : type.substr(arrow + 3);
  const bool optional = ends_with(result, " or nil");
  if (result.starts_with('{')) result = "table";
  return out + "): " + result + (optional ? "|nil" : "");
}

bool has_words(const api::FactRow& row) { return row.kind == Kind::kText && row.values != nullptr && !row.values->words.empty(); }

// A type of its own for the words of a fact: the editor then offers them.
std::string words_type(const api::FactRow& row) { return has_words(row) ? class_of(row.name) + "Word" : std::string(); }

std::string value_type(const api::FactRow& row) {
  std::string type = row.type;
  if (type.starts_with("function(")) return function_type(type);
  const bool optional = ends_with(type, " or nil");
  if (has_words(row)) type = words_type(row) + (row.values->more ? "|string" : "");
  if (!parts_of(row.name).empty()) {
    type = class_of(row.name);
  } else if (type.starts_with("list of strings")) {
    type = "string[]";
  } else if (type.starts_with("list")) {
    type = "table[]";
  } else if (type.starts_with('{') || type == "table") {
    type = "table";
  }
  return type + (optional ? "|nil" : "");
}

std::string condition_type(const api::FactRow& row) {
  switch (row.kind) {
    case Kind::kText: return has_words(row) ? words_type(row) + "|ccrules.TextCondition" : "ccrules.TextCondition";
    case Kind::kNumber: return "ccrules.NumberCondition";
    case Kind::kFlag: return "boolean|ccrules.Word|(fun(value: boolean, req: ccrules.Request): boolean)";
    case Kind::kList: return "ccrules.ListCondition";
    default: return "table<string, any>";
  }
}

constexpr std::size_t kWidest = 110;  // columns of a comment

void comment(std::string& out, std::string_view doc) {
  while (!doc.empty()) {
    const std::size_t blank = doc.size() <= kWidest ? std::string_view::npos : doc.rfind(' ', kWidest);
    out += "---" + std::string(doc.substr(0, blank)) + "\n";
    doc.remove_prefix(blank == std::string_view::npos ? doc.size() : blank + 1);
  }
}

void field(std::string& out, std::string_view name, const std::string& type, std::string_view doc, bool optional) {
  comment(out, doc);
  const bool plain = name.find('.') == std::string_view::npos;
  out += "---@field " + (plain ? std::string(name) : "[\"" + std::string(name) + "\"]") + (optional ? "?" : "") + " " + type + "\n";
}

constexpr const char* kAnnotationsHead = R"lua(---@meta ccrules
-- Generated from engine/rules/api.cc; `ccrules facts --write .` writes it anew. For editors only: nothing loads this file.

---A word such as any { }, none { } or remove.
---@class ccrules.Word

---@class ccrules.Comparison
---greater than
---@field gt? number
---at least
---@field gte? number
---less than
---@field lt? number
---at most
---@field lte? number
---exactly, also when it looks like a glob
---@field eq? any
---none of these
---@field ne? any
---the list holds it, the text contains it
---@field has? string|string[]
---the request has the fact at all
---@field present? boolean

---@alias ccrules.NumberCondition number|number[]|ccrules.Comparison|ccrules.Word|(fun(value: number, req: ccrules.Request): boolean)
---@alias ccrules.TextCondition string|string[]|ccrules.Comparison|ccrules.Word|(fun(value: string, req: ccrules.Request): boolean)
---@alias ccrules.ListCondition string|string[]|ccrules.Comparison|ccrules.Word|(fun(value: string[], req: ccrules.Request): boolean)

)lua";

constexpr const char* kAnnotationsTail = R"lua(
---A rule: when its condition holds, it claims slots of the decision. The first claim on a slot wins.
---@param name string
---@return fun(body: ccrules.Rule)
function rule(name) end

---Short names for targets: alias { cheap = "ollama,qwen3-coder:30b" }
---@param names table<string, string>
function alias(names) end

---Changes a rule of a pack or of the built-in one: override "default#background" { off = true }
---@param name string
---@return fun(body: { off: boolean })
function override(name) end

---One of these holds.
---@param body table
---@return ccrules.Word
function any(body) end

---None of these holds.
---@param body table
---@return ccrules.Word
function none(body) end

---Takes a field or header away.
---@type ccrules.Word
remove = nil

---The target that the request's model names: "provider,model".
---@type ccrules.Word
requested = nil

---The provider that lists the request's model.
---@type ccrules.Word
serving = nil

---An entry of a table by a fact: pick("agent", { reviewer = "deep" })
---@param fact string
---@param entries table<string, string>
---@return ccrules.Word
function pick(fact, entries) end

---What a test expects.
---@class ccrules.Expect
---@field to? string|false
---@field by? string|false
---@field reason? string
---@field deny? boolean|number|string|{ status: number?, message: string?, type: string? }
---how many fallbacks, or which
---@field fallback? number|string|string[]
---rules that must be among the shadowed ones
---@field shadowed? string|string[]
---@field tag? table<string, string|number|boolean>
---@field set? table<string, any>
---@field headers? table<string, any>
---@field failed? string|string[]
---@field no_target? boolean
---@field bad_request? boolean
---file with the body that must be sent
---@field upstream? string
---whether it tries again, after how long ("2s", or seconds), or both limits as in the rule
---@field retry? boolean|string|number|{ after: string?, at_most: string? }
---@field next_fallback? boolean
---sweeps: percent by target
---@field share? table<string, number|number[]>
---sweeps: percent by rule
---@field rules? table<string, number|number[]>

---@class ccrules.Step
---@field given? ccrules.Given
---@field expect ccrules.Expect
---sample request beside the test file
---@field request? string
---@field on? "request"|"error"|"response"

---Facts of every test below it.
---@param facts ccrules.Given
function base(facts) end

---One decision.
---@param name string
---@return fun(body: ccrules.Step)
function case(name) end

---Many decisions: over = { "session", 20000, "s-%d" }
---@param name string
---@return fun(body: ccrules.Step)
function sweep(name) end

---One request through its failed attempts.
---@param name string
---@return fun(steps: ccrules.Step[])
function flow(name) end
)lua";

void write_words(std::string& out) {
  for (const api::FactRow& row : api::facts()) {
    if (!has_words(row)) continue;
    out += "---@alias " + words_type(row) + "\n";
    for (const char* word : row.values->words) out += "---| \"" + std::string(word) + "\"\n";
    out += "\n";
  }
}

void write_request(std::string& out) {
  write_words(out);
  for (const api::FactRow& row : api::facts()) {
    const auto parts = parts_of(row.name);
    if (parts.empty()) continue;
    out += "---@class " + class_of(row.name) + "\n";
    for (const api::FactRow* part : parts) field(out, last_name(part->name), value_type(*part), part->doc, false);
    out += "\n";
  }
  out += "---What a rule may read. The same facts give the same decision.\n---@class ccrules.Request\n";
  for (const api::FactRow& row : api::facts()) {
    if (!is_part(row)) field(out, row.name, value_type(row), row.doc, false);
  }
  out += "\n---Conditions: all of them must hold.\n---@class ccrules.When\n";
  for (const api::FactRow& row : api::facts()) field(out, row.name, condition_type(row), row.doc, true);
  out += "\n---Facts of a test.\n---@class ccrules.Given\n";
  for (const api::FactRow& row : api::facts()) {
    const bool any = row.kind == Kind::kObject || row.kind == Kind::kFunction;
    field(out, row.name, any ? "any" : value_type(row), {}, true);
  }
}

void write_rule(std::string& out) {
  out += "\n---Changes of request members.\n---@class ccrules.Set\n";
  for (const api::FieldRow& row : api::fields()) field(out, row.name, "any", api::doc_text(row), true);
  out += "\n---@class ccrules.Rule\n";
  field(out, "when", "ccrules.When|ccrules.Word|(fun(req: ccrules.Request): boolean)", "All of it must hold; absent: always.", true);
  field(out, "on", "\"request\"|\"error\"|\"response\"", "What the rule is about; \"request\" when absent.", true);
  field(out, "reason", "string", "Shown in traces and in x-ccrules-decision; {tokens} and other facts may stand in it.", true);
  field(out, "off", "boolean", "true switches the rule off.", true);
  field(out, "doc", "string", "For readers.", true);
  for (const api::EffectRow& row : api::effects()) {
    std::string type = "any";
    const std::string_view name = row.name;
    if (name == "set") type = "ccrules.Set|(fun(req: ccrules.Request): table|nil)";
    if (name == "to") type = "string|ccrules.Word|(fun(req: ccrules.Request): string|nil)";
    if (name == "fallback") type = "string|string[]|ccrules.Word|(fun(req: ccrules.Request): string|string[]|nil)";
    field(out, name, type, row.doc, true);
  }
}

// --- JSON Schema

/// A schema of one fact's condition.
void write_condition(json::Writer& writer, const api::FactRow& row) {
  const char* reference = row.kind == Kind::kText     ? "#/$defs/text"
                          : row.kind == Kind::kNumber ? "#/$defs/number"
                          : row.kind == Kind::kFlag   ? "#/$defs/flag"
                          : row.kind == Kind::kList   ? "#/$defs/list"
                                                      : "#/$defs/object";
  writer.begin_object();
  if (has_words(row)) {
    writer.key("anyOf").begin_array().begin_object().key("enum").begin_array();
    for (const char* word : row.values->words) writer.string(word);
    writer.end_array().end_object().begin_object().member("$ref", reference).end_object().end_array();
  } else {
    writer.member("$ref", reference);
  }
  writer.member("description", api::doc_text(row)).end_object();
}

void type_object(json::Writer& writer, const char* name, const char* type, const char* doc) {
  writer.key(name).begin_object().member("type", type).member("description", doc).end_object();
}

std::string rules_schema() {
  std::string text;
  json::Writer writer(text);
  writer.begin_object()
      .member("$schema", "https://json-schema.org/draft/2020-12/schema")
      .member("title", "rules.json")
      .member("description", "Rules of ccrules for what needs no functions. Comments and trailing commas are allowed.")
      .member("type", "object")
      .member("additionalProperties", false);
  writer.key("properties").begin_object();
  writer.key("$schema").begin_object().member("type", "string").end_object();
  writer.key("alias").begin_object().member("type", "object").member("description", "Short names for targets.");
  writer.key("additionalProperties").begin_object().member("type", "string").end_object().end_object();
  writer.key("override").begin_object().member("type", "object").member("description", "Rules of packs to switch off.");
  writer.key("additionalProperties").begin_object().member("type", "object").end_object().end_object();
  writer.key("rules").begin_object().member("type", "array");
  writer.key("items").begin_object().member("$ref", "#/$defs/rule").end_object().end_object();
  writer.end_object();

  writer.key("$defs").begin_object();
  writer.key("rule").begin_object().member("type", "object").member("additionalProperties", false);
  writer.key("required").begin_array().string("name").end_array();
  writer.key("properties").begin_object();
  type_object(writer, "name", "string", "Unique in its pack.");
  writer.key("when").begin_object().member("$ref", "#/$defs/when").end_object();
  writer.key("on").begin_object().key("enum").begin_array().string("request").string("error").string("response").end_array();
  writer.end_object();
  type_object(writer, "reason", "string", "Shown in traces; {tokens} and other facts may stand in it.");
  type_object(writer, "off", "boolean", "true switches the rule off.");
  type_object(writer, "doc", "string", "For readers.");
  for (const api::EffectRow& row : api::effects()) {
    writer.key(row.name).begin_object();
    if (std::string_view(row.name) == "set") {
      writer.member("type", "object").member("additionalProperties", false).key("properties").begin_object();
      for (const api::FieldRow& member : api::fields()) {
        writer.key(member.name).begin_object().member("description", api::doc_text(member)).end_object();
      }
      writer.end_object();
    }
    writer.member("description", row.doc).end_object();
  }
  writer.end_object().end_object();

  writer.key("when").begin_object().member("type", "object").member("additionalProperties", false);
  writer.member("description", "All of it must hold.");
  writer.key("properties").begin_object();
  for (const api::FactRow& row : api::facts()) {
    writer.key(row.name);
    write_condition(writer, row);
  }
  for (const char* word : {"any", "none"}) {
    const char* doc = word == std::string_view("any") ? "One of these holds." : "None of these holds.";
    writer.key(word).begin_object().member("description", doc);
    writer.key("type").begin_array().string("array").string("object").end_array();
    writer.key("items").begin_object().member("$ref", "#/$defs/when").end_object().end_object();
  }
  writer.end_object().end_object();

  const auto kinds = [&writer](const char* name, std::initializer_list<const char*> types) {
    writer.key(name).begin_object().key("type").begin_array();
    for (const char* type : types) writer.string(type);
    writer.end_array().end_object();
  };
  kinds("text", {"string", "array", "object"});
  kinds("number", {"number", "array", "object"});
  kinds("flag", {"boolean", "object"});
  kinds("list", {"string", "array", "object"});
  kinds("object", {"object", "boolean", "number", "string"});
  writer.end_object().end_object();
  return text;
}

std::string pack_schema() {
  std::string text;
  json::Writer writer(text);
  writer.begin_object()
      .member("$schema", "https://json-schema.org/draft/2020-12/schema")
      .member("title", "pack.json")
      .member("description", "A rule pack of ccrules.")
      .member("type", "object")
      .member("additionalProperties", false);
  writer.key("required").begin_array().string("name").string("version").end_array();
  writer.key("properties").begin_object();
  type_object(writer, "$schema", "string", "");
  writer.key("name").begin_object().member("type", "string").member("pattern", "^[a-z0-9-]+(/[a-z0-9-]+)?$");
  writer.member("description", "team-cost or acme/team-cost").end_object();
  type_object(writer, "version", "string", "Semantic version, such as 1.2.0.");
  type_object(writer, "engine", "string", "Versions of ccrules it works with, such as >=0.2.");
  writer.key("kind").begin_object().member("description", "data: rules as JSON only; lua: with functions.");
  writer.key("enum").begin_array().string("data").string("lua").end_array().end_object();
  type_object(writer, "summary", "string", "One line.");
  type_object(writer, "license", "string", "SPDX id, such as MIT.");
  type_object(writer, "homepage", "string", "");
  writer.key("depends").begin_object().member("type", "object").member("description", "Other packs and the versions that will do.");
  writer.key("additionalProperties").begin_object().member("type", "string").end_object().end_object();
  writer.key("needs").begin_object().member("type", "array").member("description", "What the installer must grant: text, headers, spend.");
  writer.key("items").begin_object().member("type", "string").end_object().end_object();
  writer.key("models").begin_object().member("type", "object");
  writer.member("description", "Aliases that the installer maps to targets.").end_object();
  for (const char* list : {"rules", "tests"}) {
    writer.key(list).begin_object().member("type", "array").key("items").begin_object().member("type", "string").end_object().end_object();
  }
  writer.end_object().end_object();
  return text;
}

// One member a line where it helps: schemas are read by people too.
std::string laid_out(const std::string& compact) {
  std::string out;
  std::string open;  // brackets
  bool quoted = false;
  const auto line = [&] {
    out += '\n';
    out.append(2 * static_cast<std::size_t>(std::count(open.begin(), open.end(), '{')), ' ');
  };
  for (std::size_t i = 0; i < compact.size(); ++i) {
    const char c = compact[i];
    if (quoted) {
      out += c;
      if (c == '\\') out += compact[++i];
      if (c == '"') quoted = false;
      continue;
    }
    if (c == '"') quoted = true;
    if (c == '}' || c == ']') open.pop_back();
    if (c == '}') line();
    out += c;
    if (c == '{' || c == '[') open += c;
    if (c == '{') line();
    if (c == ':') out += ' ';
    if (c == ',' && open.ends_with('[')) out += ' ';
    if (c == ',' && open.ends_with('{')) line();
  }
  return out + "\n";
}

// --- Markdown

std::string cell(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '|') out += '\\';
    out += c;
  }
  return out;
}

std::string phase_text(api::Phase phase) {
  switch (phase) {
    case api::Phase::kAlways: return "always";
    case api::Phase::kAttempt: return "on error, on response";
    case api::Phase::kError: return "on error";
    case api::Phase::kResponse: return "on response";
  }
  return {};
}

std::string api_markdown() {
  std::string out =
      "# The rule API\n\n"
      "Generated from engine/rules/api.cc: `ccrules facts --write .` writes it anew. [rules.md](rules.md) is the guide.\n\n"
      "## Facts\n\n"
      "What conditions ask and what functions read as `req.NAME`. A fact that the request does not have is nil, and no condition\n"
      "holds on it but `{ present = false }` and `none { }`. A pack has those with a need only when it was granted.\n\n"
      "| fact | type | when | needs | |\n|---|---|---|---|---|\n";
  for (const api::FactRow& row : api::facts()) {
    out += "| `" + std::string(row.name) + "` | " + cell(row.type) + " | " + phase_text(row.phase) + " | " +
           api::need_name(row.need) + " | " + cell(api::doc_text(row)) + " |\n";
  }
  out +=
      "\n## Effects\n\n"
      "What a rule claims. Any value may be a function of `req`; nil claims nothing.\n\n"
      "| effect | value | rules | |\n|---|---|---|---|\n";
  for (const api::EffectRow& row : api::effects()) {
    std::string rules = row.on_request ? "request" : "";
    if (row.on_attempt) rules += rules.empty() ? "error, response" : ", error, response";
    out += "| `" + std::string(row.name) + "` | " + cell(row.type) + " | " + rules + " | " + cell(row.doc) + " |\n";
  }
  out += "\n## Members of `set`\n\n| member | |\n|---|---|\n";
  for (const api::FieldRow& row : api::fields()) out += "| `" + std::string(row.name) + "` | " + cell(api::doc_text(row)) + " |\n";
  return out;
}

}  // namespace

std::string lua_annotations() {
  std::string out = kAnnotationsHead;
  write_request(out);
  write_rule(out);
  return out + kAnnotationsTail;
}

std::string luarc(const std::string& types_folder) {
  std::string text;
  json::Writer writer(text);
  writer.begin_object().member("$schema", "https://raw.githubusercontent.com/LuaLS/vscode-lua/master/setting/schema.json");
  writer.member("runtime.version", "LuaJIT");
  writer.key("workspace.library").begin_array().string(types_folder).end_array();
  writer.member("workspace.checkThirdParty", false).end_object();
  return laid_out(text);
}

std::vector<GeneratedFile> generated_files() {
  return {{"rules/types/ccrules.lua", lua_annotations()},
          {"config/schema/rules.schema.json", laid_out(rules_schema())},
          {"config/schema/pack.schema.json", laid_out(pack_schema())},
          {"docs/rules-api.md", api_markdown()}};
}

}  // namespace ccrules::rules

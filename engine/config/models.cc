#include "config/models.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <unordered_map>
#include <unordered_set>

#include "core/assert.h"
#include "core/embedded.h"
#include "core/json.h"
#include "core/text.h"

namespace ccrules::config {
namespace {

constexpr std::string_view kFolder = "config/models/";

/// "anthropic/claude-opus-5.5" and "us.anthropic.claude-opus-5-5" name models of Anthropic: the part after
/// the vendor.
std::string_view without_vendor(std::string_view id) {
  if (const auto slash = id.rfind('/'); slash != std::string_view::npos) id.remove_prefix(slash + 1);
  for (const std::string_view vendor :
       {"anthropic.", "meta.", "mistral.", "deepseek.", "openai.", "qwen.", "amazon."}) {
    const auto at = id.find(vendor);
    if (at != std::string_view::npos && (at == 0 || id[at - 1] == '.')) return id.substr(at + vendor.size());
  }
  return id;
}

bool all_digits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

/// Length of a trailing `-20250929`, `@20250929` or `-2025-09-29`; 0 when there is none.
std::size_t date_suffix(std::string_view id) {
  if (id.size() > 9 && (id[id.size() - 9] == '-' || id[id.size() - 9] == '@') &&
      all_digits(id.substr(id.size() - 8)))
    return 9;
  if (id.size() > 11) {
    const std::string_view tail = id.substr(id.size() - 11);
    if (tail[0] == '-' && all_digits(tail.substr(1, 4)) && tail[5] == '-' && all_digits(tail.substr(6, 2)) &&
        tail[8] == '-' && all_digits(tail.substr(9, 2))) {
      return 11;
    }
  }
  return 0;
}

/// Bedrock's `-v1:0`.
std::size_t revision_suffix(std::string_view id) {
  const auto at = id.rfind("-v");
  if (at == std::string_view::npos) return 0;
  const std::string_view tail = id.substr(at + 2);
  const auto colon = tail.find(':');
  if (!all_digits(tail.substr(0, colon))) return 0;
  if (colon != std::string_view::npos && !all_digits(tail.substr(colon + 1))) return 0;
  return id.size() - at;
}

/// True when `tail`, what an id has beyond a known one, only names a build of it: "-001", "-0902", "-latest".
bool names_a_build(std::string_view tail) {
  if (tail == "-latest") return true;
  return tail.size() >= 4 && tail[0] == '-' && all_digits(tail.substr(1));
}

std::string dashes_for_dots(std::string_view id) {
  std::string out(id);
  std::replace(out.begin(), out.end(), '.', '-');
  return out;
}

Error wrong(std::string_view what) {
  return internal_error("config/models: " + std::string(what));
}

Result<Rates> read_rates(json::Value& value) {
  Rates rates;
  CCR_TRY(object, value.object());
  while (object.next()) {
    const std::string name(object.key());
    CCR_TRY(usd, object.value().number());
    if (!(usd >= 0)) return wrong(name + " must not be negative");
    const std::int64_t rate = picousd_per_token(usd);
    if (name == "input")
      rates.input_picousd = rate;
    else if (name == "output")
      rates.output_picousd = rate;
    else if (name == "cache_read")
      rates.cache_read_picousd = rate;
    else if (name == "cache_write_5m")
      rates.cache_write_5m_picousd = rate;
    else if (name == "cache_write_1h")
      rates.cache_write_1h_picousd = rate;
    else
      return wrong("unknown price '" + name + "'");
  }
  CCR_CHECK(object.done());
  return rates;
}

Result<std::vector<std::string>> read_strings(json::Value& value) {
  std::vector<std::string> strings;
  CCR_TRY(array, value.array());
  while (array.next()) {
    CCR_TRY(text, array.value().string());
    strings.emplace_back(text);
  }
  CCR_CHECK(array.done());
  return strings;
}

Result<std::vector<Tier>> read_tiers(json::Value& value) {
  std::vector<Tier> tiers;
  CCR_TRY(array, value.array());
  while (array.next()) {
    Tier tier;
    CCR_TRY(object, array.value().object());
    while (object.next()) {
      if (object.key() == "above_input_tokens") {
        CCR_TRY(above, object.value().integer());
        tier.above_input_tokens = above;
      } else if (object.key() == "usd_per_million") {
        CCR_TRY(rates, read_rates(object.value()));
        tier.rates = rates;
      } else {
        return wrong("unknown member '" + std::string(object.key()) + "' of a tier");
      }
    }
    CCR_CHECK(object.done());
    if (!tiers.empty() && tiers.back().above_input_tokens >= tier.above_input_tokens)
      return wrong("tiers must ascend");
    tiers.push_back(tier);
  }
  CCR_CHECK(array.done());
  return tiers;
}

Result<bool> read_flag(json::Value& value, std::optional<bool>& flag) {
  CCR_TRY(set, value.boolean());
  flag = set;
  return set;
}

Result<void> read_thinking(json::Value& value, Model& model) {
  CCR_TRY(kinds, read_strings(value));
  const auto takes = [&kinds](std::string_view kind) {
    return std::find(kinds.begin(), kinds.end(), kind) != kinds.end();
  };
  model.thinking_enabled = takes("enabled");
  model.thinking_adaptive = takes("adaptive");
  model.thinking_disabled = takes("disabled");
  model.thinking_between_tools = takes("between_tools");
  return {};
}

/// One member of a model row.
Result<void> read_member(std::string_view name, json::Value& value, Model& model) {
  if (name == "context_tokens" || name == "max_output_tokens") {
    auto& limit = name == "context_tokens" ? model.context_tokens : model.max_output_tokens;
    CCR_TRY(tokens, value.integer());
    limit = tokens;
  } else if (name == "usd_per_million") {
    CCR_TRY(rates, read_rates(value));
    model.rates = rates;
  } else if (name == "tiers") {
    CCR_TRY(tiers, read_tiers(value));
    model.tiers = std::move(tiers);
  } else if (name == "aliases") {
    CCR_TRY(aliases, read_strings(value));
    model.aliases = std::move(aliases);
  } else if (name == "efforts") {
    CCR_TRY(efforts, read_strings(value));
    model.efforts = std::move(efforts);
  } else if (name == "thinking") {
    CCR_CHECK(read_thinking(value, model));
  } else if (name == "vision") {
    CCR_CHECK(read_flag(value, model.vision));
  } else if (name == "sampling") {
    CCR_CHECK(read_flag(value, model.sampling));
  } else if (name == "forced_tool_choice") {
    CCR_CHECK(read_flag(value, model.forced_tool_choice));
  } else if (name == "reasoning") {
    CCR_CHECK(read_flag(value, model.reasoning));
  } else if (name == "chat_tools_need_no_effort") {
    CCR_TRY(set, value.boolean());
    model.chat_tools_need_no_effort = set;
  } else if (name == "source" || name == "id" || name == "effort_when_disabled") {
    CCR_TRY(text, value.string());
    (name == "id" ? model.id : name == "source" ? model.source : model.effort_when_disabled) = text;
  } else if (name != "note") {
    return wrong("unknown member '" + std::string(name) + "' of a model");
  }
  return {};
}

Result<Model> read_model(json::Value& value) {
  Model model;
  CCR_TRY(object, value.object());
  while (object.next()) {
    const std::string name(object.key());
    CCR_CHECK(read_member(name, object.value(), model));
  }
  CCR_CHECK(object.done());
  if (model.id.empty()) return wrong("a model without id");
  return model;
}

std::vector<std::string_view> built_in_texts() {
  std::vector<std::string_view> texts;
  for (const embedded::Row& row : embedded::files()) {
    if (std::string_view(row.name).starts_with(kFolder)) texts.push_back(row.text());
  }
  return texts;
}

/// What all rows of a file share.
struct File {
  std::string provider, source, date;
  bool reseller = false;
};

}  // namespace

struct ModelTable::Index {
  std::vector<Model> models;
  /// Ids and aliases -> rows, in table order. Views into `models`, which does not change any more.
  std::unordered_multimap<std::string_view, const Model*> by_id;
  std::unordered_set<std::string_view> resellers;
  std::vector<std::string> reseller_names;

  Result<void> read(std::string_view text);
  void forget_older(std::size_t first_newer);
  void build();
  [[nodiscard]] const Model* exact(std::string_view id, std::string_view provider) const;
};

Result<void> ModelTable::Index::read(std::string_view text) {
  File file;
  const std::size_t first = models.size();
  CCR_TRY(document, json::Document::open(text));
  CCR_TRY(root, document.root_object());
  while (root.next()) {
    const std::string name(root.key());
    if (name == "models") {
      CCR_TRY(rows, root.value().array());
      while (rows.next()) {
        CCR_TRY(model, read_model(rows.value()));
        models.push_back(std::move(model));
      }
      CCR_CHECK(rows.done());
    } else if (name == "reseller") {
      CCR_TRY(reseller, root.value().boolean());
      file.reseller = reseller;
    } else if (name == "provider" || name == "source" || name == "date" || name == "schema" ||
               name == "about") {
      CCR_TRY(value, root.value().string());
      if (name == "provider") file.provider = value;
      if (name == "source") file.source = value;
      if (name == "date") file.date = value;
      if (name == "schema" && value != "ccrules.models/1") return wrong("schema must be ccrules.models/1");
    } else {
      return wrong("unknown member '" + name + "'");
    }
  }
  CCR_CHECK(root.done());
  CCR_CHECK(document.at_end());
  if (file.provider.empty()) return wrong("a file without provider");
  for (std::size_t i = first; i < models.size(); ++i) {
    models[i].provider = file.provider;
    models[i].date = file.date;
    if (models[i].source.empty()) models[i].source = file.source;
  }
  if (file.reseller) reseller_names.push_back(file.provider);
  return {};
}

/// Of rows that mean the same model of the same provider the last one stays, in the place of the first.
void ModelTable::Index::forget_older(std::size_t first_newer) {
  std::vector<Model> newer(std::make_move_iterator(models.begin() + static_cast<std::ptrdiff_t>(first_newer)),
                           std::make_move_iterator(models.end()));
  models.resize(first_newer);
  for (Model& model : newer) {
    const auto known = std::find_if(models.begin(), models.end(), [&model](const Model& other) {
      return other.id == model.id && other.provider == model.provider;
    });
    if (known == models.end()) {
      models.push_back(std::move(model));
    } else {
      *known = std::move(model);
    }
  }
}

void ModelTable::Index::build() {
  models.shrink_to_fit();
  by_id.reserve(models.size() * 2);
  for (const Model& model : models) {
    by_id.emplace(model.id, &model);
    for (const std::string& alias : model.aliases) by_id.emplace(alias, &model);
  }
  resellers.insert(reseller_names.begin(), reseller_names.end());
}

const Model* ModelTable::Index::exact(std::string_view id, std::string_view provider) const {
  const auto [begin, end] = by_id.equal_range(id);
  const Model* best = nullptr;
  const auto rank = [&](const Model& model) {  // lower is better; table order decides between equals
    if (model.provider == provider) return 0;
    return resellers.contains(model.provider) ? 2 : 1;
  };
  for (auto row = begin; row != end; ++row) {
    const Model& model = *row->second;
    if (!provider.empty() && rank(model) == 2) continue;
    if (best == nullptr || rank(model) < rank(*best) || (rank(model) == rank(*best) && &model < best))
      best = &model;
  }
  return best;
}

Result<ModelTable> ModelTable::parse(const std::vector<std::string_view>& files) {
  auto index = std::make_shared<Index>();
  for (const std::string_view text : files) CCR_CHECK(index->read(text));
  index->build();
  return ModelTable(std::move(index));
}

Result<ModelTable> ModelTable::newer(const std::vector<std::string_view>& files) {
  auto index = std::make_shared<Index>();
  for (const std::string_view text : built_in_texts()) CCR_CHECK(index->read(text));
  const std::size_t known = index->models.size();
  for (std::size_t i = 0; i < files.size(); ++i) {
    Result<void> read = index->read(files[i]);
    if (read) continue;
    Error error = std::move(read).error();
    if (const auto at = error.message.find(": "); error.message.starts_with("config/models") && at != std::string::npos)
      error.message.erase(0, at + 2);
    if (files.size() > 1) error.message.insert(0, "file " + std::to_string(i + 1) + ": ");
    return error;
  }
  index->forget_older(known);
  index->build();
  return ModelTable(std::move(index));
}

const ModelTable& ModelTable::built_in() {
  static const ModelTable table = [] {
    Result<ModelTable> parsed = parse(built_in_texts());
    CCR_ASSERT(parsed.ok());
    return *std::move(parsed);
  }();
  return table;
}

const std::vector<Model>& ModelTable::all() const {
  return index_->models;
}

const Model* ModelTable::find(std::string_view model, std::string_view provider) const {
  if (const Model* found = index_->exact(model, provider)) return found;
  // The order of docs/models.md: every step keeps what the step before it removed.
  if (model.ends_with("[1m]")) model.remove_suffix(4);
  const auto as_written_or_dashed = [&](std::string_view id) -> const Model* {
    if (const Model* found = index_->exact(id, provider)) return found;
    return id.find('.') == std::string_view::npos ? nullptr : index_->exact(dashes_for_dots(id), provider);
  };
  std::string_view id = model;
  for (const bool stripped : {false, true}) {
    if (stripped) {
      const std::string_view bare = without_vendor(id);
      if (bare.size() == id.size()) break;
      id = bare;
    }
    if (const Model* found = as_written_or_dashed(id)) return found;
    std::string_view undated = id;
    undated.remove_suffix(revision_suffix(undated));
    undated.remove_suffix(date_suffix(undated));
    if (const Model* found = as_written_or_dashed(undated)) return found;
    for (auto dash = undated.rfind('-'); dash != std::string_view::npos && dash > 0;
         dash = undated.rfind('-', dash - 1)) {
      if (!names_a_build(undated.substr(dash))) break;
      if (const Model* found = as_written_or_dashed(undated.substr(0, dash))) return found;
    }
  }
  return nullptr;
}

const Rates& Model::rates_for(std::int64_t prompt_tokens) const {
  const Rates* chosen = &rates;
  for (const Tier& tier : tiers) {
    if (prompt_tokens > tier.above_input_tokens) chosen = &tier.rates;
  }
  return *chosen;
}

void Rates::overlay(const Rates& other) {
  const auto take = [](std::optional<std::int64_t>& mine, const std::optional<std::int64_t>& theirs) {
    if (theirs) mine = theirs;
  };
  take(input_picousd, other.input_picousd);
  take(output_picousd, other.output_picousd);
  take(cache_read_picousd, other.cache_read_picousd);
  take(cache_write_5m_picousd, other.cache_write_5m_picousd);
  take(cache_write_1h_picousd, other.cache_write_1h_picousd);
}

std::int64_t picousd_per_token(double usd_per_million) noexcept {
  constexpr double kLargest = 1e9;  // a thousand dollars a token: beyond any price, far from overflow
  return std::llround(std::clamp(usd_per_million, 0.0, kLargest) * 1e6);
}

}  // namespace ccrules::config

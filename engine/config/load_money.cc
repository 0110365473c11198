#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "config/loader.h"
#include "core/text.h"

/// What is paid and how much there may be: prices, budgets, rate limits.
namespace ccrules::config {
namespace {

std::string number_text(const Node& node) {
  return node.is(json::Type::kNumber) ? node.text : std::string();
}

}  // namespace

void Loader::read_prices(const Node& node) {
  if (!node.is(json::Type::kObject))
    return error(Place::in_file(node.offset), "prices must be an object: { \"model\": { ... } }");
  const std::vector<std::string> known = {"input", "output", "cache_read", "cache_write_5m",
                                          "cache_write_1h"};
  for (const Node::Member& row : node.members) {
    const std::string path = "prices." + row.key;
    if (!row.value.is(json::Type::kObject)) {
      error(Place::in_file(row.value.offset),
            path + " must be an object with USD per million tokens: { \"input\": 4, \"output\": 20 }");
      continue;
    }
    if (row.key.empty()) {
      error(Place::in_file(row.value.offset), "prices: \"\" is no model; \"*\" is any");
      continue;
    }
    Price price;
    price.model = row.key;
    const std::array<std::optional<std::int64_t>*, 5> rates = {
        &price.rates.input_picousd, &price.rates.output_picousd, &price.rates.cache_read_picousd,
        &price.rates.cache_write_5m_picousd, &price.rates.cache_write_1h_picousd};
    for (const Node::Member& member : row.value.members) {
      const auto name = std::find(known.begin(), known.end(), member.key);
      if (name == known.end()) {
        unknown(member, path + "." + member.key, known);
        continue;
      }
      const std::string text = number_text(member.value);
      if (text.empty() || text.front() == '-') {
        error(Place::in_file(member.value.offset),
              path + "." + member.key + " must be a number of USD per million tokens, not negative");
        continue;
      }
      *rates[static_cast<std::size_t>(name - known.begin())] =
          picousd_per_token(std::strtod(text.c_str(), nullptr));
    }
    snapshot_->prices.push_back(std::move(price));
  }
  // The most exact row decides; `prices` is an object, so the order in the file carries no meaning.
  std::stable_sort(snapshot_->prices.begin(), snapshot_->prices.end(), [](const Price& a, const Price& b) {
    return std::pair(text::is_glob(a.model), b.model.size()) <
           std::pair(text::is_glob(b.model), a.model.size());
  });
}

void Loader::read_budgets(const Node& node) {
  if (!node.is(json::Type::kArray)) {
    return error(Place::in_file(node.offset),
                 "budgets must be a list: [ { \"scope\": \"all\", \"usd\": 25, \"per\": \"day\" } ]");
  }
  for (std::size_t i = 0; i < node.items.size(); ++i) read_budget(node.items[i], "budgets[" + std::to_string(i) + "]");
}

/// "all", "project", "project:*" (the same), "project:/srv/web".
void Loader::read_scope(const std::string& text, const Place& at, const std::string& path, const char* what, std::string& by,
                        std::string& key) {
  constexpr std::array<std::string_view, 9> kGroupings = {"session", "user", "project",  "client", "agent",
                                                          "model",   "key",  "subagent", "tag"};
  const std::size_t colon = text.find(':');
  by = text == "all" ? std::string() : text.substr(0, colon);
  key = colon == std::string::npos ? std::string() : text.substr(colon + 1);
  const bool whose = colon == std::string::npos || (!key.empty() && (by != "tag" || key.front() != '='));
  const bool known = std::find(kGroupings.begin(), kGroupings.end(), by) != kGroupings.end();
  if (text == "all") return;
  set_at_.emplace(path + ".scope", at);
  if (known && key == "*") return key.clear();
  if (known && whose && text::is_glob(key)) {
    // Taken as it is written it would be nobody's, and let everything pass.
    const bool values = by == "tag" && key.ends_with("=*") && !text::is_glob(std::string_view(key).substr(0, key.size() - 2));
    const std::string each = values ? text.substr(0, text.size() - 2) : by;
    return error(at, path + ".scope '" + text + "' is a pattern, and keys are compared as they are written; write \"" + each +
                         "\" (each has the " + what + " of its own), or an entry for each key that is meant");
  }
  if (known && whose) return;
  error(at, path + ".scope must be \"all\", one of session, user, project, client, agent, model, key, subagent, tag (each has the " +
                what + " of its own), or one of them such as \"project:/srv/web\"");
}

void Loader::read_budget(const Node& node, const std::string& path) {
  if (!node.is(json::Type::kObject)) {
    return error(Place::in_file(node.offset), path + " must be an object: { \"scope\": \"all\", \"usd\": 25, \"per\": \"day\" }");
  }
  static const std::vector<std::string> known = {"scope", "usd", "per", "mode"};
  Budget budget;
  budget.where = where(Place::in_file(node.offset));
  bool has_usd = false;
  for (const Node::Member& member : node.members) {
    const Place at = Place::in_file(member.value.offset);
    const std::string text = member.value.is(json::Type::kString) ? member.value.text : std::string();
    if (member.key == "scope") {
      read_scope(text, at, path, "budget", budget.by, budget.key);
    } else if (member.key == "usd") {
      const std::string number = number_text(member.value);
      has_usd = true;
      constexpr double kMostUsd = 1e9;  // in nano-USD it fits
      const double usd = std::strtod(number.c_str(), nullptr);
      if (number.empty() || number.front() == '-' || usd > kMostUsd) {
        error(at, path + ".usd must be a number of US dollars, not negative and at most 1000000000");
      } else {
        budget.nanousd = std::llround(usd * 1e9);
      }
    } else if (member.key == "per") {
      budget.per = text;
      if (text != "hour" && text != "day" && text != "week" && text != "month" && text != "total") {
        error(at, path + ".per must be \"hour\", \"day\", \"week\", \"month\" or \"total\"");
      }
    } else if (member.key == "mode") {
      budget.hard = text != "soft";
      if (text != "hard" && text != "soft") error(at, path + ".mode must be \"hard\" or \"soft\"");
    } else {
      unknown(member, path + "." + member.key, known);
    }
  }
  if (!has_usd) error(Place::in_file(node.offset), path + " needs usd: how many US dollars may be spent");
  snapshot_->budgets.push_back(std::move(budget));
}

void Loader::read_rate_limits(const Node& node) {
  if (!node.is(json::Type::kArray)) {
    return error(Place::in_file(node.offset),
                 "rate_limits must be a list: [ { \"scope\": \"session\", \"requests\": 60, \"per\": \"1m\" } ]");
  }
  for (std::size_t i = 0; i < node.items.size(); ++i)
    read_rate_limit(node.items[i], "rate_limits[" + std::to_string(i) + "]");
}

void Loader::read_rate_limit(const Node& node, const std::string& path) {
  if (!node.is(json::Type::kObject)) {
    return error(Place::in_file(node.offset),
                 path + " must be an object: { \"scope\": \"session\", \"requests\": 60, \"per\": \"1m\" }");
  }
  static const std::vector<std::string> known = {"scope", "requests", "tokens", "concurrent", "per", "wait", "fair"};
  RateLimit limit;
  limit.where = where(Place::in_file(node.offset));
  bool says_how_many = false;
  for (const Node::Member& member : node.members) {
    const Place at = Place::in_file(member.value.offset);
    const std::string text = member.value.is(json::Type::kString) ? member.value.text : std::string();
    if (member.key == "scope") {
      read_scope(text, at, path, "limit", limit.by, limit.key);
    } else if (member.key == "requests" || member.key == "tokens" || member.key == "concurrent") {
      const auto number = text::to_int(number_text(member.value));
      says_how_many = true;
      if (!number || *number < 0) {
        error(at, path + "." + member.key + " must be a whole number, not negative");
      } else {
        (member.key == "requests" ? limit.requests : member.key == "tokens" ? limit.tokens : limit.concurrent) = *number;
      }
    } else if (member.key == "fair") {
      if (member.value.is(json::Type::kBool)) {
        limit.fair = member.value.text == "true";
      } else {
        error(Place::in_file(member.value.offset), path + ".fair must be true or false");
      }
    } else if (member.key == "per" || member.key == "wait") {
      const auto time = parse_duration(text);
      const bool per = member.key == "per";
      if (!time || time->count() < (per ? 1 : 0)) {
        error(at, path + "." + member.key + " must be a duration such as \"1m\"" + (time ? ", and longer than nothing" : ""));
      } else {
        (per ? limit.per : limit.wait) = *time;
      }
    } else {
      unknown(member, path + "." + member.key, known);
    }
  }
  if (!says_how_many)
    error(Place::in_file(node.offset), path + " needs requests, tokens or concurrent: how many there may be");
  snapshot_->rate_limits.push_back(std::move(limit));
}

}  // namespace ccrules::config

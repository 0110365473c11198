#include "proxy/token_count.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "core/limits.h"
#include "dialect/countable.h"
#include "ledger/record.h"
#include "tokens/calibration.h"
#include "tokens/ceiling.h"
#include "tokens/family.h"
#include "tokens/prompt.h"

namespace ccrules::proxy {
namespace {

/// What the pool works on and leaves behind; on the heap, for the pool's thread writes it.
struct Job {
  const dialect::Dialect* spoken = nullptr;
  std::string_view body;
  std::string model;
  std::optional<Result<tokens::Prompt>> prompt;
  std::vector<digest::Hash128> chain;

  void run() {
    prompt = read();
    if (prompt->ok()) chain = tokens::chain_of(**prompt);
  }

  [[nodiscard]] Result<tokens::Prompt> read() const {
    if (spoken->counts_by_block()) return tokens::read_prompt(body, model);
    CCR_TRY(countable, dialect::countable_body(*spoken, body, model));
    return tokens::read_prompt(countable, model);
  }
};

/// Usage of one model says something about another only when their tokenizer is known to be the same.
bool counts_alike(std::string_view requested, std::string_view answered) {
  if (tokens::bare_model(requested) == tokens::bare_model(answered)) return true;
  const tokens::Family& family = tokens::family_of(requested);
  return family.kind != tokens::FamilyKind::kOther && family.kind == tokens::family_of(answered).kind;
}

std::int64_t billed_tokens(const chat::Usage& usage) {
  return usage.input_tokens.value_or(0) + usage.cache_read_tokens.value_or(0) +
         usage.cache_write_tokens.value_or(0);
}

Task<std::unique_ptr<Job>> counted(Worker& worker, Countable request) {
  auto job = std::make_unique<Job>();
  job->spoken = request.spoken;
  job->body = request.body;
  job->model = request.model;
  if (request.body.size() <= limits::kCountInlineBytes) {
    job->run();
  } else {
    Job* const at = job.get();
    std::function<void()> work = [at] { at->run(); };
    co_await on_pool(worker.loop, std::move(work));
  }
  co_return job;
}

CountedPrompt what_was_counted(const Job& job) {
  const tokens::Prompt& prompt = **job.prompt;
  CountedPrompt counted;
  counted.chain = job.chain.back();
  counted.ratio_kinds = tokens::ratio_key({}, prompt);
  counted.estimate = prompt.tokens;
  return counted;
}

/// What a provider's counts of a prompt are kept by.
std::string target_of(std::string_view provider, std::string_view requested) {
  std::string target;
  target.reserve(provider.size() + 1 + requested.size());
  return target.append(provider).append(",").append(tokens::bare_model(requested));
}

}  // namespace

CheapCount cheap_count(Worker& worker, const chat::Outline& outline) {
  CheapCount cheap;
  tokens::Count& count = cheap.count;
  count = tokens::count(outline);
  cheap.estimate = count.tokens;
  const tokens::Calibration::Ratio learned =
      worker.calibration->ratio(worker.calibration->usual_target(tokens::bare_model(outline.model)));
  if (learned.p95 < 0) return cheap;
  count.tokens =
      std::max<std::int64_t>(1, static_cast<std::int64_t>(static_cast<double>(count.tokens) * learned.ratio));
  // What was learned are whole prompts of this model; a new kind of text may still surprise.
  count.p95 =
      static_cast<std::int64_t>(static_cast<double>(count.tokens) * std::clamp(2 * learned.p95, 0.1, 0.5)) +
      1;
  return cheap;
}

Task<Result<CloseCount>> close_count(Worker& worker, Countable request) {
  const std::unique_ptr<Job> job = co_await counted(worker, request);
  if (!job->prompt->ok()) co_return std::move(job->prompt->error());
  const tokens::Prompt& prompt = **job->prompt;
  CloseCount out;
  const std::string target = worker.calibration->usual_target(tokens::bare_model(job->model));
  out.count = tokens::best_count(prompt, target, job->chain, *worker.calibration);
  out.count.tokens = worker.calibration->steady(request.conversation, out.count, prompt.messages.size());
  out.prompt = what_was_counted(*job);
  co_return std::move(out);
}

Task<CloseLimits> close_limits(Worker& worker, Countable request, std::span<const rules::Target> targets) {
  CloseLimits out;
  out.tokens.resize(targets.size());
  const std::unique_ptr<Job> job = co_await counted(worker, request);
  if (!job->prompt->ok()) co_return out;
  out.prompt = what_was_counted(*job);
  for (std::size_t i = 0; i < targets.size(); ++i) {
    if (!counts_alike(request.model, targets[i].model)) continue;
    out.tokens[i] = tokens::most_tokens(**job->prompt, static_cast<std::int64_t>(request.body.size()),
                                           target_of(targets[i].provider, request.model), job->chain, *worker.calibration);
  }
  co_return out;
}

void learn_count(Worker& worker, ledger::Record& row, std::int64_t cheap_estimate,
                 const std::optional<CountedPrompt>& counted) {
  if (row.usage_estimated || !row.usage.input_tokens || !counts_alike(row.requested_model, row.model)) return;
  if (row.usage.iterations.size() > 1) return;  // several prompts in one bill, or another one than was sent
  const std::int64_t billed = billed_tokens(row.usage);
  const std::string target = target_of(row.provider, row.requested_model);
  row.estimate_tokens = counted ? counted->estimate : cheap_estimate;
  row.estimate_key = counted ? target + counted->ratio_kinds : target;
  worker.calibration->learn(target, cheap_estimate, billed);
  if (!counted) return;
  worker.calibration->learn(row.estimate_key, counted->estimate, billed);
  tokens::Calibration::Anchor anchor;
  anchor.prompt_tokens = billed;
  anchor.output_tokens = std::max<std::int64_t>(0, row.usage.output_tokens.value_or(0));
  worker.calibration->keep(target, counted->chain, anchor);
}

}  // namespace ccrules::proxy

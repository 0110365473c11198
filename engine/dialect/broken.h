#pragma once
#include <string>
#include <string_view>

#include "chat/event.h"
#include "core/error.h"
#include "core/result.h"
#include "core/sse.h"
#include "dialect/unstreamed.h"

/// What a provider sent instead of an answer, in words that tell what came, not only that something did.
namespace ccrules::dialect {

/// `a page of HTML ("Sign in")`, `text ("upstream timed out")`, `JSON`, `nothing` ... Keys are removed, long texts cut.
std::string described(std::string_view bytes);

/// 502: "the provider's stream " and `what`.
Error broken_stream(std::string_view what);
/// 502: an event's data is not what the format says.
Error not_json(std::string_view came, std::string_view hint);

/// For the body that came where a stream was asked for and is no answer: what it says if it is an error in JSON,
/// else what it is.
chat::StreamError not_an_answer(std::string_view body, std::string_view provider);

/// For a stream that ended before its answer did.
/// @param began content was there
chat::StreamError cut_stream(bool began, const UnstreamedBody& start);

/// For a call that does not say of which tool: nobody could answer it.
chat::StreamError unnamed_call();
/// Whether one of its calls names no tool.
bool has_unnamed_call(const chat::Reply& reply);

/// Feeds `bytes` and hands each event to `take`, which gives a Result<void>, until `ended` says so.
template <typename Ended, typename Take>
Result<void> each_event(sse::Decoder& decoder, std::string_view bytes, const Ended& ended, const Take& take) {
  if (ended()) return {};
  decoder.feed(bytes);
  sse::Event event;
  for (;;) {
    const sse::Step step = decoder.next(event);
    if (step == sse::Step::kStarved) return {};
    if (step == sse::Step::kTooLarge) return sse::too_large();
    CCR_CHECK(take(event));
    if (ended()) return {};
  }
}

}  // namespace ccrules::dialect

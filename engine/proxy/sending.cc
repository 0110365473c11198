#include "proxy/sending.h"

#include "proxy/attempts.h"
#include "proxy/relay.h"

namespace ccrules::proxy {

Task<Result<std::unique_ptr<FirstReply>>> Sending::first_reply(Plan& plan) {
  ask_ = ask_of(exchange_, plan);
  ask_.asking = asking_.get();
  within_.emplace(asking_ ? asking_->stop() : exchange_.stop());
  total_.emplace(worker_.loop, *within_);
  total_->set(visit_.policy->config->timeouts.total);  // zero: no limit
  auto first = co_await proxy::first_reply(worker_, ask_, visit_, within_->token());
  if (!asking_) co_return first;
  if (first.ok()) {
    asking_->arrives(**first, *ask_.spoken);
  } else {
    asking_->failed(first.error());
  }
  co_return first;
}

Task<Result<void>> Sending::bring(FirstReply& reply) {
  auto relayed = co_await relay(worker_, reply, *ask_.spoken, visit_, exchange_);
  note_end(worker_, reply, visit_, exchange_);
  if (asking_) co_await asking_->finish(reply, visit_);
  if (!relayed.ok()) visit_.abandon();  // unless its bill has come for others that wait for the answer
  co_return relayed;
}

}  // namespace ccrules::proxy

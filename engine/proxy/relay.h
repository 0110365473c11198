#pragma once
#include "http/server.h"
#include "proxy/attempts.h"
#include "proxy/visit.h"
#include "proxy/worker.h"

namespace ccrules::proxy {

/// Brings a committed reply to the client, in the client's dialect and in the form it asked for (stream or
/// whole). Same dialect and form: the provider's bytes, verbatim. A provider that fails on the way becomes an
/// error event of the client's dialect, never a clean end. Awaiting the client's socket is the backpressure
/// on the provider's.
/// @return an error when the client could not be told everything (it left: kCancelled or kConnectionLost), or
/// when nothing was
///         sent yet and the reply turned out broken.
Task<Result<void>> relay(Worker& worker, FirstReply& from, const dialect::Dialect& spoken, Visit& visit,
                         http::Exchange& to);

/// What became of the answer, for the provider's circuit: one whose answers begin well and break off is down like one that gives
/// none. Call once relay() is over.
void note_end(Worker& worker, const FirstReply& from, const Visit& visit, const http::Exchange& to);

}  // namespace ccrules::proxy

-- The built-in routing: what the configuration's routes, thresholds, agents, fallbacks and tiers mean. The first rule that claims
-- `to` wins, so the order of this file is the order of precedence. Rules of the user stand above all of them; switch one
-- off with: override "default#background" { off = true }
local routes, tiers, long_context = config.routes, config.tiers, config.thresholds.longContext

-- The client names its target itself: "openai,gpt-6.1-sol".
rule "explicit" { when = { model = "*,*" }, to = requested, reason = "explicit model selection" }

-- A route of that very name.
rule "direct-route" { to = pick("model", routes), reason = "direct model route" }

rule "agent" { to = pick("agent", config.agents), reason = "agent override" }

-- Strictly more than the threshold; zero or less switches it off.
if routes.longContext and long_context > 0 then
  rule "long-context" {
    when = { tokens = { gt = long_context } },
    to = routes.longContext,
    reason = "token count ({tokens}) exceeds threshold",
  }
end

if routes.background then
  rule "background" { when = { model = "*haiku*" }, to = routes.background, reason = "haiku model routed to background" }
  rule "background-class" {
    when = { request_class = { "background", "auxiliary" } },
    to = routes.background,
    reason = "background request",
  }
end

if routes.think then
  rule "think" { when = { thinking = true }, to = routes.think, reason = "thinking parameter enabled" }
end

-- For set-ups with one provider: big and small models by the name the client uses.
if tiers.big then
  rule "tier-big" { when = { model = { "*opus*", "*sonnet*" } }, to = tiers.big, reason = "tier big" }
end
if tiers.small then
  rule "tier-small" { when = { model = "*haiku*" }, to = tiers.small, reason = "tier small" }
end

if routes.default then
  rule "default" { to = routes.default, reason = "default model" }
end

-- The provider that lists the model, same model.
rule "serving" { to = serving, reason = "provider lists the model" }

-- Chains for the model that was chosen, else for the one that was asked for.
rule "fallbacks" { fallback = pick("target_model", config.fallbacks) }
rule "fallbacks-of-request" { fallback = pick("model", config.fallbacks) }

-- The first rule that claims `to` wins: what must not be made cheaper stands first.

rule "deep-agents" {
  when = { agent = settings.deep_agents },
  to = "deep",
  reason = "agent {agent} is worth the deep model",
}

rule "background" {
  when = any { request_class = { "background", "auxiliary" }, model = "*haiku*" },
  to = "cheap",
  reason = "background work",
}

rule "small-talk" {
  when = { tokens = { lt = settings.small_tokens }, tool_count = 0, images = 0 },
  to = "cheap",
  reason = "{tokens} tokens and no tools",
}

if granted.spend then
  rule "soft-limit" {
    when = { spend_today = { gte = settings.soft_limit_usd } },
    to = "cheap",
    tag = { soft_limit = "reached" },
    reason = "today's spending has reached the soft limit",
  }
end

rule "thinking" {
  when = { thinking = true },
  to = "deep",
  set = { ["thinking.budget_tokens"] = { max = 16000 } },
  reason = "thinking, within a budget",
}

rule "everyday" { to = "standard", reason = "everyday work" }

-- A cheap answer is better than none.
rule "net" { fallback = { "standard", "cheap" } }

rule "team" { tag = { team = settings.team } }

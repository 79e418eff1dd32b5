-- Stand-in (test double) for Jitsi's mod_auth_token: not Jitsi's code.
-- Authentication by token. Fires the events before and after the check that other modules hook.
local anonymous = module:require "anonymous";
local verifier = module:require "token/util".new(module);

if verifier == nil then
	return; -- as upstream: the host then has no authentication, and only the log says so
end

module:depends("jitsi_session");

local fire = prosody.events.fire_event;

local function refuse(session, stage, result)
	module:log("warn", "Error verifying token %s:%s, reason:%s", stage, result.error, result.reason);
	session.auth_token = nil;
	return result;
end

-- Nil or a refusal; and the user name that a hook of pre-jitsi-authentication chose.
local function check(session)
	local before = fire("pre-jitsi-authentication-fetch-key", session);
	if before ~= nil and before.res == false then
		return refuse(session, "on pre authentication stage", before);
	end
	local ok, condition, reason = verifier:process_and_verify_token(session);
	if ok == false then
		return refuse(session, "err", { res = false, error = condition, reason = reason });
	end
	if fire("jitsi-access-ban-check", session) == false then
		return { res = false, error = "not-allowed", reason = "user is banned" };
	end
	return nil, fire("pre-jitsi-authentication", session);
end

local function check_after(session)
	local after = fire("post-jitsi-authentication", session);
	if after ~= nil and after.res == false then
		return refuse(session, "on post authentication stage", after);
	end
	session._jitsi_auth_done = true;
end

anonymous.provide(function (session, handler, name)
	local refusal, chosen = check(session);
	if not refusal then
		if chosen then
			handler.username = chosen;
		elseif session.previd ~= nil then
			handler.username = anonymous.resumed_username(session);
		else
			handler.username = name;
		end
		refusal = check_after(session);
	end
	if refusal then
		return refusal.res, refusal.error, refusal.reason;
	end
	return true;
end);

local carried = {
	"auth_token", "jitsi_meet_context_user", "jitsi_meet_context_group", "jitsi_meet_context_features",
	"jitsi_meet_context_room", "jitsi_meet_room", "jitsi_meet_str_tenant", "jitsi_meet_domain",
	"jitsi_meet_tenant_mismatch", "jitsi_breakout_main_jid",
};

-- A session that is taken up again keeps what its new connection proved. One from another host, where
-- nobody looked at the token, is checked here.
module:hook_global("c2s-session-updated", function (event)
	local session, from = event.session, event.from_session;
	if not from.auth_token then
		return;
	end
	if from.host ~= module.host then
		session.auth_token = from.auth_token;
		if check(session) or check_after(session) then
			session:close();
			return;
		end
	end
	if not session._jitsi_auth_done then
		session:close();
		return;
	end
	for _, name in ipairs(carried) do
		session[name] = from[name];
	end
end, 1);

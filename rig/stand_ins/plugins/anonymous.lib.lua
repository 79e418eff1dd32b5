-- Stand-in (test double) for Jitsi's anonymous.lib.lua: not Jitsi's code.
-- SASL ANONYMOUS (RFC 4505) for mod_auth_token and mod_auth_jitsi-anonymous, which upstream have the
-- same lines each.
local new_uuid = require "util.uuid".generate;
local sasl = require "util.sasl";

local anonymous = {};

-- User name of the live session that a client wants to go on with, or nil.
function anonymous.resumed_username(session)
	for _, other in pairs(prosody.full_sessions) do
		if session.previd ~= nil and other.resumption_token == session.previd then
			return other.username;
		end
	end
end

-- Makes this module the authentication of its host. `authorize(session, handler, name)` returns true
-- and may set handler.username; or it returns false, the SASL condition and the reason.
function anonymous.provide(authorize)
	local function no()
		return nil, "People have no accounts here";
	end
	module:provides("auth", {
		test_password = no, get_password = no, set_password = no, user_exists = no,
		create_user = no, delete_user = no,
		get_sasl_handler = function (session)
			return sasl.new(module.host, {
				anonymous = function (handler, name)
					return authorize(session, handler, name);
				end,
			});
		end,
	});
	sasl.registerMechanism("ANONYMOUS", { "anonymous" }, function (handler)
		local name = new_uuid();
		local ok, condition, reason = handler.profile.anonymous(handler, name, handler.realm);
		if ok ~= true then
			return "failure", condition, reason;
		end
		handler.username = handler.username or name;
		return "success";
	end);
end

return anonymous;

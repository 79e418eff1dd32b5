-- Whoever takes up a session with another token is who that token says, as after a new login.
--
-- A lost connection is resumed in two ways, and both let one token follow another: `<resume/>`
-- (XEP-0198) moves the new connection to the old session, and `?previd=` gives a new session the
-- name of the old one. auth_token copies some fields and forgets others, and the rooms know people by
-- their JID. So here
--   * all that our modules and others know of a token comes from the new one, or goes;
--   * who may open other rooms now leaves those entered before, and is nobody there any more;
--   * who is made an owner, or no longer, becomes that in the rooms where the token decides on it;
--   * who binds a new session under the name of one with other rights gets another name.
-- The same rights again, which is what clients do, change nothing: one stays in the meeting.
--
-- Prosody before 13 moves the connection, and tells nobody: what it was to fire is fired here.
--
-- Goes on the VirtualHost that has auth_token and token_guard. No options.
local jid = require "util.jid";
local st = require "util.stanza";
local uuid = require "util.uuid";

-- What comes from the token or the address of the connection, beside what auth_token copies.
local CARRIED = {
	"token_guard_features", "token_guard_door", "token_guard_owner", "token_guard_key",
	"jitsi_meet_auth_issuer",
	"jitsi_web_query_room", "jitsi_web_query_prefix",
};
-- What others gave to whom the token let into their rooms, by that token.
local GRANTED = {
	"granted_jitsi_meet_context_user_id", "granted_jitsi_meet_context_group_id", "force_permissions_update",
	"jitsi_breakout_main_jid",
};

-- What the change of a token asks of the rooms, by session, until the client may be told.
local changes = setmetatable({}, { __mode = "k" });

local function opens_same(session, other)
	return session.token_guard_door ~= nil and session.token_guard_door == other.token_guard_door;
end

local function has_same_rights(session, other)
	return opens_same(session, other) and session.token_guard_owner == other.token_guard_owner;
end

-- Whether a session can go on from stanza `h` on. Prosody finds out that it cannot, after it has stopped
-- to wait for the client: the session would never end.
local function can_go_on(session, h)
	local queue = session.outgoing_stanza_queue;
	if not queue or not queue.count_acked then
		return true; -- none of its own to be looked at
	end
	local acked, kept = queue:count_acked(), 0;
	local head = acked + queue:count_unacked();
	for _ in queue:resume() do
		kept = kept + 1;
	end
	return h >= acked and h <= head and head - h <= kept;
end

-- What BOSH has of a connection cannot be moved: Prosody stops half-way, with the session in two hands.
local function refuse_half(event)
	local session, stanza = event.origin, event.stanza;
	local namesake = session.username and prosody.hosts[module.host].sessions[session.username];
	-- Prosody stops half-way without a number, too
	local h = (stanza.attr.h or ""):find("^%d+$") and tonumber(stanza.attr.h);
	local refused = session.sid ~= nil or not h;
	for _, other in pairs(namesake and namesake.sessions or {}) do
		if other.resumption_token == stanza.attr.previd and not refused then
			refused = other.sid ~= nil or not can_go_on(other, h);
		end
	end
	if refused then
		session.send(st.stanza("failed", { xmlns = stanza.attr.xmlns })
			:tag("feature-not-implemented", { xmlns = "urn:ietf:params:xml:ns:xmpp-stanzas" }));
		return true;
	end
end
module:hook("stanza/urn:xmpp:sm:2:resume", refuse_half, 1000);
module:hook("stanza/urn:xmpp:sm:3:resume", refuse_half, 1000);

-- Before auth_token, which copies from the new session what it set.
module:hook_global("c2s-session-updated", function (event)
	local session, new = event.session, event.from_session;
	if session.host ~= module.host then
		return;
	elseif not new.token_guard_door then
		session:close(); -- nobody looked at its token
		return;
	end
	changes[session] = {
		other_rooms = not opens_same(session, new),
		other_role = session.token_guard_owner ~= new.token_guard_owner,
	};
	for _, name in ipairs(GRANTED) do
		if changes[session].other_rooms then
			session[name] = nil;
		else
			new[name] = session[name];
		end
	end
	if new.jitsi_web_query_room == nil and not changes[session].other_rooms then
		new.jitsi_web_query_room, new.jitsi_web_query_prefix
			= session.jitsi_web_query_room, session.jitsi_web_query_prefix;
	end
	for _, name in ipairs(CARRIED) do
		session[name] = new[name];
	end
end, 2);

local function leave(session, room)
	local nick = room:get_occupant_jid(session.full_jid);
	if nick then
		local leaving = st.presence({ type = "unavailable", from = session.full_jid, to = nick });
		prosody.core_post_stanza(session, leaving, true);
	end
end

-- All rooms there are now, with whether the token decides on affiliations there; and whether it does in
-- any.
local function all_rooms()
	local rooms, by_token = {}, false;
	for _, host in pairs(prosody.hosts) do
		if host.modules.muc then
			local decides = host.modules.token_affiliation ~= nil;
			for room in host.modules.muc.live_rooms() do
				rooms[room] = decides;
			end
			by_token = by_token or decides;
		end
	end
	return rooms, by_token;
end

local function leave_all(session)
	local address = jid.bare(session.full_jid);
	for room in pairs((all_rooms())) do
		leave(session, room);
		local affiliation = room:get_affiliation(address) or "none";
		if affiliation ~= "none" and affiliation ~= "outcast" then
			room:set_affiliation(true, address, "none");
		end
	end
end

local function change_role(session)
	local address = jid.bare(session.full_jid);
	local wanted = session.token_guard_owner and "owner" or "member";
	local rooms, by_token = all_rooms();
	for room, decides in pairs(by_token and rooms or {}) do
		local current = room:get_affiliation(address);
		if not decides then
			leave(session, room); -- breakout rooms and lobbies look at the affiliation at the door only
		elseif current == "owner" or current == "member" then
			room:set_affiliation(true, address, wanted);
		end
	end
end

-- Prosody has moved the connection, and said so to the client.
module:hook("smacks-hibernation-end", function (event)
	local session, new = event.resumed, event.origin;
	if not changes[session] then
		prosody.events.fire_event("c2s-session-updated", { session = session, from_session = new });
	end
	local change = changes[session];
	changes[session] = nil;
	if not change or session.destroyed then
		return;
	elseif change.other_rooms then
		leave_all(session);
	elseif change.other_role then
		change_role(session);
	end
end);

-- auth_token has chosen the name of whom `previd` names.
module:hook_global("post-jitsi-authentication", function (session)
	local name = session.host == module.host and session.sasl_handler and session.sasl_handler.username;
	local namesake = name and prosody.hosts[module.host].sessions[name];
	for _, other in pairs(namesake and namesake.sessions or {}) do
		if not has_same_rights(session, other) then
			session.resumption_guard_rename = true;
		end
	end
end, -1001); -- after token_guard, which notes the rights

-- Not at the login: who resumes has to be found under the old name.
module:hook("pre-resource-bind", function (event)
	if event.session.resumption_guard_rename then
		event.session.username = uuid.generate();
	end
end);

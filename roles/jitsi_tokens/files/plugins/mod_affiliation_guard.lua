-- Holds what token_affiliation lets slip: who is banned, and who is no longer an owner.
--
-- token_affiliation makes owners or members of everybody with a token, also of outcasts, whom the
-- MUC refuses last (-10). And it takes the affiliation of an owner away, but not the role that came
-- with it: whoever was promoted and comes back, or comes under an owner's JID (`previd`), would
-- moderate as a member.
--
-- Goes on the MUC component of the meetings. No options.
local refuse = module:require "refuse";

module:hook("muc-occupant-pre-join", function (event)
	if event.room:get_affiliation(event.stanza.attr.from) == "outcast" then
		return refuse(event, "auth", "forbidden", "You are banned from this room");
	end
end, 50);

-- After token_affiliation (-3.5), before the gates of the lobby (-4) and of members-only rooms (-5)
module:hook("muc-occupant-pre-join", function (event)
	local room, occupant = event.room, event.occupant;
	if room:get_affiliation(occupant.bare_jid) == "member" and occupant.role == "moderator" then
		occupant.role = "participant";
	end
end, -3.6);

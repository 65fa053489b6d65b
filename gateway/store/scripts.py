"""What Redis or Valkey does in one step for us: Lua, at the server (EVALSHA). For version 6.2 and newer.

A record is a hash: ``v`` its value, ``g`` its generation, ``c:<number>`` the Unix time of that number's claim. A
link is a hash: ``f`` the record's name, ``n`` the number, ``m`` its mark. A lease is a string, its owner. An
intent is a hash: ``o`` the owner, ``t`` when it was written in milliseconds, ``e`` whether its flight has ended.
An epoch is a hash: ``r`` the run id of the server that last gave out leases, ``u`` until when, in milliseconds, it
gives out none.

A server that is out of memory refuses the first write of a script. So in each the first write is one that it may
refuse, and none that it never refuses (a deletion) comes before it: all of a script happens, or nothing.
"""

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha1


@dataclass(frozen=True)
class Script:
    """One step."""

    text: str

    @cached_property
    def sha(self) -> str:
        """How the server knows it."""
        return sha1(self.text.encode(), usedforsecurity=False).hexdigest()


_NOW = """
local function now()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end
"""

WRITE = Script("""
local g = redis.call('HGET', KEYS[1], 'g')
if ARGV[3] == 'new' then
  if g then return 0 end
elseif ARGV[3] ~= '' and g ~= ARGV[3] then
  return 0
end
if g then
  redis.call('HINCRBY', KEYS[1], 'g', 1)
  redis.call('HSET', KEYS[1], 'v', ARGV[1])
else
  local t = redis.call('TIME')
  redis.call('HSET', KEYS[1], 'v', ARGV[1], 'g', string.format('%s%06d', t[1], t[2]))
end
if ARGV[4] == 'claims' then
  local kept = {}
  for i = 5, #ARGV, 2 do
    redis.call('HSET', KEYS[1], 'c:' .. ARGV[i], ARGV[i + 1])
    kept['c:' .. ARGV[i]] = true
  end
  for _, name in ipairs(redis.call('HKEYS', KEYS[1])) do
    if string.sub(name, 1, 2) == 'c:' and not kept[name] then redis.call('HDEL', KEYS[1], name) end
  end
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
""")
"""KEYS: record. ARGV: value, milliseconds, condition ('', 'new' or a generation), 'claims' and pairs or nothing.

The first generation of a record is the time in microseconds: a later life of it never meets an earlier one's.
"""

ERASE = Script("""
if redis.call('HGET', KEYS[1], 'g') == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
""")
"""KEYS: record. ARGV: generation."""

LINK = Script("""
if ARGV[5] == 'new' and (redis.call('HGET', KEYS[1], 'f') or ARGV[1]) ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'f', ARGV[1], 'n', ARGV[2], 'm', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
""")
"""KEYS: link. ARGV: record, number, mark, milliseconds, 'new' where it must lead nowhere else."""

FOLLOW = Script(f"""{_NOW}
local link = redis.call('HMGET', KEYS[1], 'f', 'n', 'm')
if not link[1] then return {{}} end
return {{link[1], link[2], link[3] or '', now(), redis.call('HGETALL', link[1])}}
""")
"""KEYS: link. The record is not among the keys: one server only, never a cluster. With the server's time."""

LOOK = Script(f"""{_NOW}
return {{now(), redis.call('HGETALL', KEYS[1])}}
""")
"""KEYS: record. The second half of FOLLOW, for a cluster."""

_NOTE = """
local function note(record, number)
  local fields = redis.call('HKEYS', record)
  if #fields == 0 or tonumber(number) <= 0 then return 0 end
  for _, name in ipairs(fields) do
    if string.sub(name, 1, 2) == 'c:' and tonumber(string.sub(name, 3)) >= tonumber(number) then return 0 end
  end
  local t = redis.call('TIME')
  redis.call('HSET', record, 'c:' .. number, t[1] .. '.' .. string.format('%06d', t[2]))
  redis.call('HINCRBY', record, 'g', 1)
  return 1
end
"""

CLAIM = Script(f"""{_NOTE}
local link = redis.call('HMGET', KEYS[1], 'f', 'n')
if not link[1] then return 0 end
return note(link[1], link[2])
""")
"""KEYS: link. As FOLLOW, never on a cluster."""

NOTE = Script(f"""{_NOTE}
return note(KEYS[1], ARGV[1])
""")
"""KEYS: record. ARGV: number."""

ACQUIRE = Script(f"""{_NOW}
local span, time = tonumber(ARGV[3]), now()
local epoch = redis.call('HMGET', KEYS[3], 'r', 'u')
local info = redis.call('INFO', 'server')
local run = string.match(info, 'run_id:(%w+)') or 'unknown'
local ready = tonumber(epoch[2] or 0)
if epoch[1] ~= run then
  local up = tonumber(string.match(info, 'uptime_in_seconds:(%d+)') or 0) * 1000
  ready = time + span
  if not epoch[1] and up < span then ready = ready - up end
  redis.call('HSET', KEYS[3], 'r', run, 'u', ready)
elseif ready - time > span then
  ready = time + span
  redis.call('HSET', KEYS[3], 'u', ready)
end
if ready > time and redis.call('GET', KEYS[1]) ~= ARGV[1] then return {{0, ready - time}} end
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) == false then
  if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {{0, 0}} end
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
local intent = redis.call('HMGET', KEYS[2], 'o', 't', 'e')
if not intent[1] then return {{1}} end
return {{1, intent[1], time - intent[2], intent[3]}}
""")
"""KEYS: lease, intent, epoch. ARGV: owner, milliseconds, span in milliseconds in which leases settle. Answers {0,
milliseconds to wait}, or {1} and the intent: owner, age, ended.

An epoch of another run is a failover, or a restart with what was on the disk. None at all is a new database, or one
that was emptied, or a replica that was promoted before it had it: nobody can tell, so leases count as lost now, or
when the server started, where that was within the span. A clock that was set back must not keep all waiting.
"""

RENEW = Script(f"""{_NOW}
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
if not holder and ARGV[3] ~= '' and redis.call('EXISTS', KEYS[2]) == 0 then
  redis.call('HSET', KEYS[2], 'o', ARGV[1], 't', now() - ARGV[3], 'e', '')
  redis.call('PEXPIRE', KEYS[2], ARGV[4])
end
return 1
""")
"""KEYS: lease, intent. ARGV: owner, milliseconds, age of its intent in milliseconds or '', milliseconds for that.

Where the server has lost the lease it has lost the intent with it.
"""

RELEASE = Script("""
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
redis.pcall('PUBLISH', ARGV[2], '')
""")
"""KEYS: lease. ARGV: owner, channel. A user who may not publish loses speed only: waiters poll too."""

INTEND = Script(f"""{_NOW}
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[2], 'o', ARGV[1], 't', now(), 'e', '')
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return 1
""")
"""KEYS: lease, intent. ARGV: owner, milliseconds."""

RESOLVE = Script("""
if redis.call('HGET', KEYS[1], 'o') ~= ARGV[1] then return end
if ARGV[2] == '1' then redis.call('HSET', KEYS[1], 'e', '1') else redis.call('DEL', KEYS[1]) end
""")
"""KEYS: intent. ARGV: owner, '1' where its answer was lost."""

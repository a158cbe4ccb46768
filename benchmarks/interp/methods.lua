local Vec = {}
Vec.__index = Vec
function Vec.new(x, y) return setmetatable({ x = x, y = y }, Vec) end
function Vec:dot(other) return self.x * other.x + self.y * other.y end
function Vec:shift(d)
  self.x = self.x + d
  self.y = self.y - d
end
local function run(n)
  local a, b, s = Vec.new(1, 2), Vec.new(3, 4), 0
  for _ = 1, n do
    s = s + a:dot(b)
    a:shift(1)
    s = s & 0xFFFFFF
  end
  return s
end
print(run(300000))

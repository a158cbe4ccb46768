local Node = {}
Node.__index = Node
function Node.new(value, left, right)
  return setmetatable({ value = value, left = left, right = right }, Node)
end
function Node:total()
  local s = self.value
  if self.left ~= nil then s = s + self.left:total() end
  if self.right ~= nil then s = s + self.right:total() end
  return s
end
local function build(depth)
  if depth == 0 then return Node.new(1, nil, nil) end
  return Node.new(depth, build(depth - 1), build(depth - 1))
end
local s = 0
for _ = 1, 6 do s = s + build(13):total() end
print(s)

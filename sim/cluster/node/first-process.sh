#!/bin/sh
# First process of a simulated node's process namespace. While it waits for the end of its input, which is a
# pipe from the owner of the node, it reaps what containerd leaves behind. When it ends, by itself or because
# its owner died, the kernel ends every other process of the node.
echo ready
cat
exit 0

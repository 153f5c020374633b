#!/bin/sh
# In the guest, for one connection: a line with the token, a line with the number of lines of the script that follows, and what the script
# reads. Only what the shell does by itself: each program that starts takes an emulated processor a twentieth of a second.
# What socat has open it leaves to its children: a connection would be held by every program that the script lets run on.
exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
read -r token
read -r expected <"$NODE_DIR/agent-token"
[ "$token" = "$expected" ] || exit 1
read -r lines
script=
while [ "$lines" -gt 0 ]; do
  IFS= read -r line
  script="$script$line
"
  lines=$((lines - 1))
done
# To remove it would take a program; the next shell with this number writes over it.
errors=$ERRORS_DIR/agent-errors-$$
eval "$script"

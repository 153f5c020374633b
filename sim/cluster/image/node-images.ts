// The two images that every node has: the sandbox of each pod, and the stand-in for a UPF.
import type { Image } from './image-archive.ts'

// The first process of a container gets no signal that it does not handle: without the trap the end of
// every pod would take its whole grace period.
const untilTerminated = `trap 'exit 0' TERM INT
while :; do
  sleep 3600 &
  wait $!
done
`

export const pauseImage: Image = {
  name: 'localhost/pause:1',
  startScript: `#!/bin/sh\n${untilTerminated}`,
}

/** Shows what a CNF is given, then runs until it is told to end. */
export const upfImage: Image = {
  name: 'localhost/upf-cnf:demo',
  startScript: `#!/bin/sh
env | sort
ls -l /dev/vfio
${untilTerminated}`,
}

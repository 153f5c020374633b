// A node with an IOMMU on a real kernel, as bare metal instances are.
import { guestNode, metal } from './guests.ts'
import { holders } from './chapters/holders.ts'
import { packets } from './chapters/packets.ts'
import { restarts } from './chapters/restarts.ts'
import { rounds } from './chapters/rounds.ts'
import { onGuests } from './stage.ts'

onGuests('a node with an IOMMU', [guestNode('node-a', metal)], {
  'a pod that forwards packets between two ENIs, beside one with another ENI': packets,
  '20 pods, each with an ENI of its own, one after the other': rounds,
  'a card that somebody does not let go of': holders,
  'programs of the node die, and it reboots': restarts,
})

#!/usr/bin/env bash
# A matrix of 2 chapters x 2 accelerations x 2 seeds at smoke on two SLURM nodes of this machine, one
# of which is killed in the middle: it ends complete, and no network is trained twice. As root, where
# Debian's packages slurmctld, slurmd, slurm-client and munge are installed, as is the extra [cluster].
set -euo pipefail
cd "$(dirname "$0")/../.."

for program in slurmctld slurmd sinfo munged; do
  command -v $program > /dev/null || { echo "missing: apt-get install slurmctld slurmd slurm-client munge"; exit 2; }
done
((EUID == 0)) || { echo "the daemons of this test want root"; exit 2; }
# the executor drops SLURM_CONF from a job's environment, so the file must lie at its default place
conf=/etc/slurm/slurm.conf
ours="# Two nodes on one machine"
[[ ! -e $conf ]] || grep -q "^$ours" $conf || { echo "$conf exists: this machine has a SLURM of its own"; exit 2; }

USER_NAME=$(id -un)
place=$(mktemp -d /tmp/slurm-two-XXXX)
daemons=()
end() {
  # what still runs on a node goes with its job
  timeout 20 scancel --full --user "$USER_NAME" 2> /dev/null && sleep 3 || true
  for pid in "${daemons[@]}"; do kill "$pid" 2> /dev/null || true; done
  rm -f $conf
  echo "logs of the daemons: $place"
}
trap end EXIT

mkdir -p "$place/state" /etc/slurm
sed "s|@PLACE@|$place|; s|@HOST@|$(hostname -s)|" tests/cluster/slurm.conf > $conf
install -d -o munge -g munge /run/munge
if ! munge -n &> /dev/null; then
  rm -f /run/munge/munge.socket.2*  # of one that was killed
  runuser -u munge -- munged --foreground &> /dev/null &
  daemons+=($!)
fi
for attempt in {1..50}; do munge -n &> /dev/null && break; sleep 0.2; done
# they write logs of their own
slurmctld -D &> /dev/null &
daemons+=($!)
slurmd -D -N n1 &> /dev/null &
daemons+=($!)
slurmd -D -N n2 &> /dev/null &
second=$!
daemons+=($second)
for attempt in {1..60}; do
  [[ $(sinfo --noheader --states=idle --format=%D 2> /dev/null) == 2 ]] && break
  sleep 1
done
sinfo --long --Node  # both idle: a node that is not there ends the test here
[[ $(sinfo --noheader --states=idle --format=%D) == 2 ]] || { tail -n 5 "$place"/slurm*.log; exit 1; }

python tests/cluster/check.py "$place" "$second" || { tail -n 40 "$place/snakemake.log"; exit 1; }

#!/bin/sh
# A Slurm of one node on this machine, to run tests/reliability/test_slurm.py. As root, with Debian's slurm-wlm and munge:
#   sh one_node_slurm.sh start FOLDER     then: export SLURM_CONF=FOLDER/slurm.conf
#   sh one_node_slurm.sh stop FOLDER
# Nothing outside FOLDER and munge's own folder is written. Two processors and 6 GB are offered.
set -eu
folder=$2
if [ "$1" = stop ]; then
  for daemon in d ctld; do
    if [ -f "$folder/$daemon.pid" ]; then kill "$(cat "$folder/$daemon.pid")"; fi
  done
  exit 0
fi
mkdir -p "$folder/state" "$folder/spool"
name=$(hostname -s)
cat >"$folder/slurm.conf" <<END
ClusterName=one
SlurmctldHost=$name(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/ctld.pid
SlurmdPidFile=$folder/d.pid
SlurmctldLogFile=$folder/ctld.log
SlurmdLogFile=$folder/d.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=batch_sched_delay=1,sched_interval=2,bf_interval=2
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
ReturnToService=2
KillWait=5
MaxArraySize=200
MailProg=/bin/true
NodeName=$name NodeAddr=127.0.0.1 CPUs=2 RealMemory=6000 State=UNKNOWN
PartitionName=compute Nodes=ALL Default=YES MaxTime=60 State=UP
END
if ! munge -n >/dev/null 2>&1; then
  mkdir -p /run/munge
  chown munge: /run/munge
  su -s /bin/sh munge -c /usr/sbin/munged
fi
export SLURM_CONF="$folder/slurm.conf"
slurmctld
slurmd
sleep 2
sinfo

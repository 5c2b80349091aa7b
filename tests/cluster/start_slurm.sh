#!/usr/bin/env bash
# A real SLURM on this machine alone, on the loopback interface, for tests: munged, slurmctld and slurmd, each ended by its pid file.
#
#   tests/cluster/start_slurm.sh start FOLDER    writes FOLDER/slurm.conf, makes it the machine's, and starts the three
#   tests/cluster/start_slurm.sh stop FOLDER
#
# Needs root, and Debian's packages slurm-wlm and munge; with slurmdbd and mariadb-server there is accounting, too. Snakemake's jobs look for /etc/slurm/slurm.conf and nowhere else, so that is a
# link to ours; a machine that has a configuration of its own is left alone. SLURM itself requeues a job that ends with exit code 75.
set -euo pipefail
readonly action=$1 folder=$(realpath -m "$2")
readonly socket=$folder/munge.socket installed=/etc/slurm/slurm.conf

stop() {
  if [[ $(readlink "$installed" || true) == "$folder/slurm.conf" ]]; then
    rm "$installed"
  fi
  for daemon in slurmd slurmctld slurmdbd mariadbd munged; do
    if [[ -s $folder/$daemon.pid ]]; then
      kill "$(cat "$folder/$daemon.pid")" 2>/dev/null || true
      rm -f "$folder/$daemon.pid"
    fi
  done
}

accounts() { command -v slurmdbd >/dev/null && command -v mariadbd >/dev/null; }

# The database has its files in the folder and no port; SLURM's service in front of it keeps the accounts.
start_accounting() {
  local database=$folder/database
  mariadb-install-db --no-defaults --user=root --datadir="$database" --auth-root-authentication-method=normal >"$folder/database.log" 2>&1
  mariadbd --no-defaults --user=root --datadir="$database" --skip-networking --socket="$folder/database.socket" \
    --pid-file="$folder/mariadbd.pid" --innodb-lock-wait-timeout=900 >>"$folder/database.log" 2>&1 &
  cat > "$folder/slurmdbd.conf" <<CONF
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort=${SLURMDBD_PORT:-16819}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$socket
PidFile=$folder/slurmdbd.pid
LogFile=$folder/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=slurm_accounts
CONF
  chmod 600 "$folder/slurmdbd.conf"
  for _ in $(seq 60); do
    [[ -S $folder/database.socket ]] && break
    sleep 0.5
  done
  MYSQL_UNIX_PORT=$folder/database.socket SLURM_CONF=$folder/slurm.conf slurmdbd
  for _ in $(seq 60); do
    if sacctmgr --immediate --noheader list cluster >/dev/null 2>&1; then
      sacctmgr --immediate --quiet add cluster one-node >/dev/null 2>&1 || true
      return
    fi
    sleep 0.5
  done
}

configure() {
  local host cores memory
  host=$(hostname -s)
  cores=$(nproc)
  memory=$(awk '/MemTotal/ {print int($2 / 1024 * 0.9)}' /proc/meminfo)
  mkdir -p "$folder/state" "$folder/spool"
  cat > "$folder/slurm.conf" <<CONF
ClusterName=one-node
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=${SLURMCTLD_PORT:-16817}
SlurmdPort=${SLURMD_PORT:-16818}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$socket
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
AccountingStorageType=$(accounts && echo accounting_storage/slurmdbd || echo accounting_storage/none)
AccountingStorageHost=127.0.0.1
AccountingStoragePort=${SLURMDBD_PORT:-16819}
AccountingStoragePass=$socket
JobCompType=jobcomp/filetxt
JobCompLoc=$folder/completed.txt
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
SchedulerParameters=sched_interval=1,batch_sched_delay=0,sched_min_interval=0
RequeueExit=75
ReturnToService=2
MpiDefault=none
KillWait=10
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cores RealMemory=$memory State=UNKNOWN
PartitionName=main Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
}

start() {
  if [[ -e $installed || -L $installed ]]; then
    echo "$installed exists: this machine has a SLURM of its own; remove it first" >&2
    exit 1
  fi
  configure
  mkdir -p "$(dirname "$installed")"
  ln -s "$folder/slurm.conf" "$installed"
  if [[ ! -s $folder/munge.key ]]; then
    (umask 077 && head -c 1024 /dev/urandom > "$folder/munge.key")
  fi
  munged --force --key-file="$folder/munge.key" --socket="$socket" --pid-file="$folder/munged.pid" \
    --log-file="$folder/munged.log" --seed-file="$folder/munge.seed"
  if accounts; then
    start_accounting
  fi
  slurmctld
  slurmd
  for _ in $(seq 60); do
    if sinfo -h -o %T 2>/dev/null | grep -q '^idle'; then
      return
    fi
    sleep 0.5
  done
  echo "the node did not become idle within 30 s; see $folder/slurmctld.log and slurmd.log" >&2
  stop
  exit 1
}

"$action"

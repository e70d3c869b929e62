{{- define "ringkeeper.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "ringkeeper.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 53 | trimSuffix "-" }}
{{- else if contains (include "ringkeeper.name" .) .Release.Name }}
{{- .Release.Name | trunc 53 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "ringkeeper.name" .) | trunc 53 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "ringkeeper.selectorLabels" -}}
app.kubernetes.io/name: {{ include "ringkeeper.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "ringkeeper.labels" -}}
{{ include "ringkeeper.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "ringkeeper.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "ringkeeper.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "ringkeeper.nodeImage" -}}
{{ .Values.nodeImage.repository }}:{{ default .Chart.AppVersion .Values.nodeImage.tag }}
{{- end }}

{{- /* What the operator does in a namespace that it looks after; docs/kubernetes.md says why each rule is there. */ -}}
{{- define "ringkeeper.namespaceRules" -}}
# Patching: the annotation that asks for a failover goes when that is done.
- apiGroups: [ringkeeper.dev]
  resources: [cacheclusters]
  verbs: [get, list, watch, patch]
- apiGroups: [ringkeeper.dev]
  resources: [cacheclusters/status]
  verbs: [patch]
# Setting an owner that blocks its deletion takes the right to set the owner's finalizers.
- apiGroups: [ringkeeper.dev]
  resources: [cacheclusters/finalizers]
  verbs: [update]
# Labelling pods by their role.
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch, patch]
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, create]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, create, update, patch]
- apiGroups: [""]
  resources: [services, serviceaccounts]
  verbs: [get, list, create, patch]
# Growing volumes; making and deleting them is Kubernetes' own work.
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [list, patch]
# A shard that has been emptied goes with its StatefulSet.
- apiGroups: [apps]
  resources: [statefulsets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, create, patch]
# A pod may have one budget only: the former one goes when replicas come.
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, create, patch, delete]
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
{{- end }}

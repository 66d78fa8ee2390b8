// What the page says, in Chinese and English. The language is chosen by ?lang=, else by the browser.

const asked = new URLSearchParams(location.search).get("lang");
export const lang = asked === "en" || asked === "zh" ? asked : /^zh/i.test(navigator.language) ? "zh" : "en";

const WORDS = {
  title: ["家庭医生 · 消息控制台", "Family doctor · message console"],
  brand: ["消息控制台", "Message console"],
  doctor: ["医生", "Doctor"], patient: ["居民", "Patient"], figures: ["运行", "Figures"],
  sessions: ["会话", "Chats"], consults: ["咨询", "Consults"],
  unreplied: ["未回复", "Unanswered"], ongoing: ["进行中", "Ongoing"], replied: ["已回复", "Answered"],
  expired: ["未答即止", "Ended unanswered"],
  none: ["这里还没有内容", "Nothing here yet"],
  noneUnreplied: ["没有等待回复的咨询", "No consult is waiting"],
  noneOngoing: ["没有进行中的咨询", "No consult is under way"],
  noneReplied: ["还没有已回复的咨询", "No consult has been answered yet"],
  more: ["更多", "More"], pick: ["从左边选一个会话", "Choose a chat on the left"],
  pin: ["置顶", "Pin"], unpin: ["取消置顶", "Unpin"], back: ["返回", "Back"], close: ["关闭", "Close"],
  write: ["输入消息，回车发送", "Write a message, Enter sends"], writeShort: ["输入消息", "Message"],
  send: ["发送", "Send"], attach: ["发送其他类型", "Send another type"],
  picture: ["图片", "Picture"], voice: ["语音", "Voice"], article: ["文章", "Article"], card: ["卡片", "Card"],
  sending: ["发送中", "Sending"], failed: ["没有发出", "Not sent"], retry: ["重发", "Retry"],
  recall: ["撤回", "Recall"], recalledByMe: ["你撤回了一条消息", "You recalled a message"],
  recalledBy: ["{name} 撤回了一条消息", "{name} recalled a message"],
  read: ["已读", "Read"], unread: ["未读", "Unread"], readBy: ["{n}/{all} 已读", "{n}/{all} read"],
  typing: ["{name} 正在输入…", "{name} is writing…"],
  newMessages: ["{n} 条新消息", "{n} new"], toEnd: ["回到最新", "To the newest"],
  startConsult: ["发起咨询", "Start a consult"], endConsult: ["结束咨询", "End consult"],
  consultName: ["想咨询什么", "What is it about"], consultText: ["描述一下情况", "Describe it"],
  consultNote: ["给居民的小结（可不填）", "A note for the patient (optional)"],
  start: ["发起", "Start"], end: ["结束", "End"], cancel: ["取消", "Cancel"],
  liveTopic: ["咨询中", "Consult"], waitingSince: ["等待回复 {time}", "Waiting {time}"],
  topicStart: ["{name} 发起了咨询", "{name} started a consult"], topicEnd: ["{name} 结束了咨询", "{name} ended the consult"],
  topicInto: ["{name} 进入了咨询", "{name} joined the consult"], endNote: ["咨询小结", "Consult note"],
  connecting: ["连接中…", "Connecting…"], offline: ["连接已断开，正在重连…", "Connection lost, trying again…"],
  closed: ["连接已关闭（{code}）", "Connection closed ({code})"], reconnect: ["重新连接", "Connect again"],
  loading: ["加载中…", "Loading…"], members: ["{n} 人", "{n} people"],
  openElsewhere: ["在新标签页打开", "Opens in a new tab"], enlarge: ["放大图片", "Enlarge the picture"],
  externalPicture: ["外部图片", "Picture elsewhere"], externalMedia: ["外部媒体", "Media elsewhere"],
  seconds: ["{n} 秒", "{n} s"], minutes: ["{n} 分钟", "{n} min"], hours: ["{n} 小时", "{n} h"], days: ["{n} 天", "{n} d"],
  justNow: ["刚刚", "just now"], yesterday: ["昨天", "Yesterday"],
  connections: ["在线连接", "Sockets"], perSecond: ["消息/秒", "Messages/s"], p99: ["请求 p99", "Request p99"],
  pushQueue: ["推送队列", "Push queue"], noPush: ["未启用", "off"],
  byType: ["按客户端类型", "By client type"], lastMinute: ["最近一分钟入库消息", "Messages stored, last minute"],
  requests: ["请求/秒", "Requests/s"], commit: ["落盘 p99", "Commit p99"], deliveries: ["投递/秒", "Deliveries/s"],
  dbQueue: ["数据库队列", "Database queue"], lag: ["反应堆延迟", "Reactor lag"], uptime: ["已运行", "Up for"],
  stored: ["累计入库", "Stored in all"], noFigures: ["运行数据只对服务密钥开放", "Figures are shown to service keys"],
  noSockets: ["现在没有连接", "No socket is open"],
  demoTitle: ["先放一点演示数据？", "Start with some demo data?"],
  demoText: ["这台服务器上还没有演示用的医生和居民。可以放入一家小医院：11 位用户、9 个会话、各种状态的咨询。只在开发环境可用，可重复执行。",
    "There are no demo doctors and patients on this server yet. This adds a small hospital: 11 users, 9 chats, consults in every state. Development only; may be repeated."],
  demoMake: ["放入演示数据", "Add demo data"],
  demoMissing: ["没有找到这个用户：{id}", "There is no such user: {id}"],
  demoElsewhere: ["在网址中用 ?doctor=…&patient=…&session=… 指定要看的用户和会话。", "Choose with ?doctor=…&patient=…&session=… in the address."],
  tokenTitle: ["需要凭证", "A credential is needed"],
  tokenText: ["粘贴服务密钥（可看医生与居民两侧）或用户令牌（只看自己一侧）。只保存在这个标签页里。",
    "Paste a service key (shows both sides) or a user's token (shows that side). It is kept in this tab only."],
  token: ["服务密钥或令牌", "Service key or token"], enter: ["进入", "Enter"], wrongToken: ["凭证无效", "The credential is not valid"],
  doctorId: ["医生编号", "Doctor id"], patientId: ["居民编号", "Patient id"],
  theme: ["切换明暗", "Light or dark"], otherLang: ["English", "中文"], skip: ["跳到对话", "Skip to the conversation"],
  failedCall: ["没有成功：{why}", "That failed: {why}"], unknownType: ["类型 {n}", "Type {n}"],
  colon: ["\uff1a", ": "], you: ["我", "Me"], myDoctor: ["健康服务", "Health service"], video: ["视频请求", "Video request"],
  videoAsked: ["等待接听", "Waiting"], videoTaken: ["已接听", "Taken"], stars: ["{n} 分", "{n} of 5"],
  forwarded: ["{n} 条转发的消息", "{n} forwarded messages"], jump: ["看这次咨询", "Go to this consult"],
};

const TYPES = {
  0: ["系统消息", "System"], 2: ["图片", "Picture"], 3: ["语音", "Voice"], 4: ["文章", "Article"], 5: ["链接", "Link"],
  6: ["咨询开始", "Consult started"], 7: ["咨询结束", "Consult ended"], 9: ["转发的图片", "Forwarded picture"],
  10: ["咨询小结", "Consult note"], 12: ["小视频", "Short video"], 14: ["进入咨询", "Joined"], 15: ["续方审核", "Renewal review"],
  16: ["血糖血压", "Glucose and pressure"], 17: ["随访问卷", "Questionnaire"], 18: ["名片", "Name card"],
  19: ["聊天记录", "Forwarded messages"], 20: ["康复计划", "Rehabilitation plan"], 21: ["转诊预约", "Referral"],
  22: ["已知悉", "Acknowledged"], 23: ["复诊说明", "Re-visit note"], 24: ["诊断结果", "Diagnosis"],
  25: ["病情描述", "Condition"], 26: ["专家建议", "Expert advice"], 27: ["药品处方", "Prescription"],
  28: ["服务评价", "Rating"], 29: ["视频请求", "Video request"], 30: ["互联网医院转发", "Internet hospital"],
  31: ["会诊建议", "Joint advice"], 2101: ["上门预约", "Home booking"], 2102: ["工单变更", "Order changed"],
  2103: ["医生变更", "Doctor changed"], 2104: ["服务项变更", "Items changed"],
};

const SESSION_TYPES = {
  0: ["系统", "System"], 1: ["家庭医生", "Family"], 2: ["医生", "Doctors"], 3: ["团队", "Team"], 4: ["讨论组", "Group"],
  5: ["共管", "Shared care"], 6: ["名医", "Expert"], 7: ["名医", "Expert"], 8: ["续方", "Renewal"], 9: ["复诊", "Re-visit"],
  10: ["求助", "Help"], 11: ["上门护理", "Home care"], 12: ["协同门诊", "Joint clinic"], 13: ["健康咨询", "Health"],
  14: ["诊间", "Clinic"], 15: ["互联网医院", "Internet"], 16: ["视频复诊", "Video"], 17: ["专家视频", "Expert video"],
};

// names of fields that cards are known to carry
const FIELDS = {
  diagnosis: ["诊断", "Diagnosis"], advice: ["建议", "Advice"], drugs: ["药品", "Drugs"], doctor: ["医生", "Doctor"],
  usage: ["用法", "Usage"], spec: ["规格", "Pack"], complaint: ["主诉", "Complaint"], duration: ["持续", "For"],
  medication: ["用药", "Taking"], allergy: ["过敏", "Allergy"], items: ["内容", "Items"], period: ["时间", "Period"],
  comment: ["评语", "Comment"], score: ["评分", "Score"], service: ["服务", "Service"], time: ["时间", "Time"],
  address: ["地址", "Address"], department: ["科室", "Department"], name: ["姓名", "Name"], status: ["状态", "Status"],
};

const place = lang === "zh" ? 0 : 1;

export function t(key, values) {
  const text = (WORDS[key] || [key, key])[place];
  return values ? text.replace(/\{(\w+)\}/g, (hit, name) => String(values[name])) : text;
}

export const typeName = (type) => (TYPES[type] ? TYPES[type][place] : t("unknownType", { n: type }));
export const sessionTypeName = (type) => (SESSION_TYPES[type] ? SESSION_TYPES[type][place] : String(type));
export const fieldName = (name) => (FIELDS[name] ? FIELDS[name][place] : name);

//! Chinese stories. The notation is [`grammar`](super::grammar)'s.

/// Rules by name; `story` is where a story starts.
#[rustfmt::skip]
pub const RULES: &[(&str, &[&str])] = &[
    ("story", &[
        "{lost}", "{found}", "{tree}", "{soup}", "{half}", "{rain}", "{journey}", "{night}", "{seed}", "{quarrel}", "{bird}",
        "{learn}", "{gift}", "{snow}", "{market}", "{letter}", "{way}", "{race}", "{echo}", "{star}", "{song}", "{moon}",
    ]),
    // --- 开头
    ("opening", &[
        "从前，有{a who}，名字叫{hero}。{home}",
        "从前，有{one who}{kind}的{who}，叫{hero}。{home}",
        "从前，{where}住着{a who}，名字叫{hero}。",
        "很久很久以前，{where}住着{one who}{kind}的{who}，叫{hero}。",
        "{hero}是{one who}{kind}的{who}。{home}",
        "{where}有{one who}{kind}的{who}，大家都叫{him}{hero}。",
    ]),
    ("kind", &["可爱", "聪明", "勇敢", "好心", "快乐"]),
    ("where", &[
        "小村子里", "森林边上", "大海边", "青青的山上", "小河边", "一座白色的小房子里", "大树下的房子里", "学校后面",
    ]),
    ("home", &[
        "{he}住在{where}。",
        "{he}和[{=elder}|家人]一起住在{where}。",
        "{he}喜欢[唱歌|跑步|看书|游泳|看星星]。",
        "{he}每天都去{to outing}玩。",
        "大家都[很|]喜欢{him}。",
    ]),
    ("elder", &["妈妈", "奶奶"]),
    ("day", &[
        "有一天，", "一天[早上|下午|晚上]，", "[春天|夏天|秋天]的一天，", "一个[暖和|安静|美好]的早上，",
    ]),
    // --- 朋友
    ("comes", &[
        "这时候，{who2}{friend}走了过来。",
        "{one who2}叫{friend}的{who2}正好[路过|回家]。",
        "就在这时，{he}看见了好朋友{friend}。",
        "{his}的朋友{friend}听见了，跑过来帮忙。",
        "{he}遇见了{a who2}，名字叫{friend}。",
    ]),
    ("meets", &[
        "这时候，{who2}{friend}走了过来。",
        "就在这时，{he}看见了好朋友{friend}。",
        "{he}遇见了{a who2}，名字叫{friend}。",
    ]),
    ("why", &[
        "“{hero}，你怎么了？”{friend}问。",
        "{friend}问：“你为什么难过？”",
        "“我可以帮你吗？”{friend}问。",
        "{friend}问：“你还好吗？”",
    ]),
    ("sad", &[
        "{hero}很难过。", "{hero}坐在地上哭了起来。", "{hero}不知道怎么办才好。", "{hero}又累又难过。",
    ]),
    ("thanks", &[
        "“谢谢你，{friend}！”{hero}说。",
        "“你真是我的好朋友。”{hero}说。",
        "{hero}高兴得跳了起来。",
        "{hero}谢了又谢。",
    ]),
    // --- 结尾
    ("end", &[
        "从那天起，{hero}和{friend}成了最好的朋友。",
        "那天晚上，{hero}睡得很香。",
        "{hero}永远忘不了那一天。",
        "{they}都很快乐。",
        "第二天，{they}又在一起玩了。",
        "这真是美好的一天。",
        "{hero}把这件事说给[{=elder}|家人]听。",
        "从那以后，{they}每天都你帮我，我帮你。",
    ]),
    ("way home", &[
        "{end}", "{they}一路笑着回了家。", "{hero}和{friend}一起走回家。", "回到家的时候，星星都出来了。",
    ]),
    ("they", &["{hero}和{friend}", "两个好朋友"]),
    // --- 故事
    ("lost", &[
        "{opening}{he}有{one toy}{color}的{toy}[，很喜欢|，是奶奶送的|]。{day}{toy}不见了。\
         {hero}在{inside}找，没有找到。[{he}去问{=elder}，{=elder}也没看见。|]{sad}{comes}{why}\
         {hero}说：“我的{toy}不见了。”“[别担心，|][我们一起找吧|我来帮你找]。”{friend}说。[{they}找啊找。|]\
         最后，{friend}在{outside}找到了{toy}。{thanks}{way home}",
    ]),
    ("found", &[
        "{opening}{day}{hero}在{outside}看见{a toy}。{toy}是{color}的，很漂亮。{he}想：“这是谁的{toy}呢？”\
         {meets}{friend}很难过，说：“我的{toy}不见了。”{hero}问：“是这{of toy}{color}的{toy}吗？”\
         “是的！谢谢你，{hero}！”{friend}说。{way home}",
    ]),
    ("inside", &["床下面", "门后面", "桌子上", "每个房间里", "房子里里外外"]),
    ("outside", &["大树下", "石头后面", "草地上", "小桥边", "花园门口", "路边"]),
    ("tree", &[
        "{opening}{day}{he}看见高高的树上有一个大{fruit}。{hero}饿了，很想吃。{he}跳啊跳，可是树太高了。\
         {sad}{comes}{why}“我想吃那个{fruit}，可是拿不到。”{hero}说。\
         “[别担心，|][你站到我背上来|我去拿一根长木棍来]。”{friend}说。\
         不一会儿，{fruit}就掉下来了。[{they}把{fruit}分成两半，一起吃。|{hero}把一半分给了{friend}。]{fruit}真甜啊。{way home}",
    ]),
    ("soup", &[
        "{opening}{day}{hero}做了一大锅汤，[真香|好香]。{he}想：“这么多汤，我一个人吃不完。”\
         {he}打开门，叫朋友们来吃。{who2}{friend}第一个来了，还带来了{a food}。[“我最喜欢喝汤。”{friend}说。|]\
         [大家坐在桌子边吃了起来。|大家一边吃一边说笑。]“和朋友一起吃，汤就更香。”{hero}说。{end}",
    ]),
    ("half", &[
        "{opening}{day}{he}只有{a food}可以吃。路上，{he}遇见{one who2}很饿的{who2}，名字叫{friend}。\
         “请给我一点吃的吧。”{friend}说。{hero}把{food}分成两半，给了{him2}一半。\
         第二天，{friend}带来了一篮子{food2}，说：“这些送给你。”{thanks}{end}",
    ]),
    ("rain", &[
        "{opening}{day}{hero}去{to outing}玩。[天很蓝。|鸟儿在唱歌。|]这时，天上来了很多黑云，下起了大雨。\
         {hero}没有带雨伞，跑到一棵树下。{meets}[“到我的雨伞下面来吧。”{friend}说。|“跟我来，我家就在前面。”{friend}说。]\
         {thanks}雨停了，天上出现了一道彩虹。[“快看，多美啊！”{hero}说。|彩虹有红色、黄色、绿色和蓝色。|]{way home}",
    ]),
    ("journey", &[
        "{opening}{he}从来没有见过大海。{trip}最后，{they}看见了蓝蓝的大海。{end of trip}",
        "{opening}{he}从来没有见过雪山。{trip}最后，{they}站在了白白的雪地上。{end of trip}",
        "{opening}{he}从来没有见过大城市。{trip}最后，{they}看见了城市的灯光。{end of trip}",
    ]),
    ("trip", &[
        "{day}{he}在包里放了{a food}，出发了。{he}走过小山，走过森林。在桥上，{he}遇见了{who2}{friend}。\
         “你要去哪里？”{friend}问。“我要去很远的地方看一看。”{hero}说，“和我一起去吧！”于是，{they}一起往前走。\
         [一路上，歌声不停。|晚上，{they}睡在星星下面。|走了很久，很累，可是谁也没有停下来。|饿了，{they}就分着吃那{of food}{food}。]",
    ]),
    ("end of trip", &["“真美啊！”{friend}说。{end}", "“现在可以回家了。”{hero}说。{way home}"]),
    ("night", &[
        "{opening}一天夜里，{hero}睡不着。[房间里很黑。|风声很大。]{he}很害怕，去找{=elder}。\
         “我怕[黑|大风]。”{hero}说。{=elder}[笑了笑|拉着{his}的手]，打开窗，说：“你看，[月亮在天上看着你|星星在天上陪着你]。”\
         {hero}看了很久。夜里真[安静|美]啊。{he}不再害怕了，很快就睡着了。",
    ]),
    ("seed", &[
        "{opening}{day}{hero}在{outside}找到一颗小种子。{he}把种子种在土里，每天给它水喝。\
         一个星期过去了，什么也没有长出来。{sad}“再等一等吧。”朋友{friend}说。于是，{hero}等啊等。[太阳暖暖的。|后来下雨了。|]\
         一天早上，土里长出了一片绿叶。[又过了很多天|到了夏天]，那里开出了一朵美丽的[红|蓝|黄|白]花。\
         “你说得对，{friend}。”{hero}说，“好的东西要慢慢等。”{end}",
    ]),
    ("quarrel", &[
        "{opening}{hero}和{friend}是好朋友。{day}{they}都想要那{of toy}{color}的{toy}。\
         “这是我的！”{hero}说。“不，这是我的！”{friend}说。拉来拉去，{toy}掉到河里去了。\
         [{hero}一个人回家了。|三天里，谁也不和谁说话。|两个好朋友都哭了。]\
         后来，{hero}[想了想|心里很难过]，说：“对不起，{friend}。”“我也对不起你。”{friend}说。\
         [{they}又去找来了{a toy}。|{friend}找来一根长木棍，两个好朋友一起把{toy}拿了上来。]\
         [“现在它是我们的了。”{hero}说。|]{end}",
    ]),
    ("bird", &[
        "{opening}{day}{hero}在{outing}看见一只小小的鸟。小鸟很累，飞不动了。\
         {hero}把小鸟带回家，给它吃的，给它喝水。[每天晚上，{he}都唱歌给小鸟听。|{he}用盒子给小鸟做了一张暖和的床。|]\
         过了很多天，小鸟好了。{hero}打开窗，小鸟飞走了。[{hero}有点难过，可是也很高兴。|“再见，小鸟。”{hero}说。]\
         春天来了，小鸟又飞回来，在窗前唱歌。",
    ]),
    ("learn", &[
        "{opening}{he}想学{=skill}。这件事很难。第一次，{he}[做错了|没有学会]。\
         [“太难了。”{hero}说。|{hero}不想学了。]{comes}“[再来一次|别停下来|慢慢来]。”{friend}说，“我来[帮你|教你|陪你]。”\
         于是，{hero}每天都学。过了[一个星期|一个月|十天]，{he}学会{=skill}了！\
         “[你看|快看，{friend}]！”{hero}说。{friend}[为{him}高兴|也很高兴]。{end}",
    ]),
    ("skill", &["游泳", "跳舞", "画画", "唱歌", "看书", "骑马", "放风筝", "做蛋糕"]),
    ("gift", &[
        "{opening}那天是朋友{friend}的生日。{hero}没有钱。“我能送{him2}什么呢？”{he}想。\
         {he}拿来一些纸，做了一整天。到了晚上，{he}做好了{one craft}{color}的{craft}。\
         {friend}打开门，说：“[{a craft}！|这是{a craft}！]我太喜欢了！是你自己做的！”{end}",
    ]),
    ("snow", &[
        "{opening}冬天的一个早上，外面一片白色。“下雪了！”{hero}说。{he}跑去找{friend}。\
         {they}一起做了一个大雪人。{hero}给雪人一顶{color}的帽子，{friend}给雪人[两根木棍做手|一根长木棍]。\
         [{they}玩到天黑才回家。|手很冷，可是心里很快乐。]过了几天，太阳出来了，雪人不见了。[{hero}很难过。|]\
         “别担心。”{friend}说，“明年冬天，它还会回来的。”{end}",
    ]),
    ("market", &[
        "{opening}{day}{=elder}说：“请你去买{a food}和{a food2}。”\
         一路上，{hero}不停地说：“{a food}和{a food2}。”后来，{he}遇见{friend}，{they}在{outing}玩了很久。\
         {hero}忘了要买什么。“我来买什么呢？”{he}想。“你说要买{a food}和{a food2}。”{friend}说。{thanks}{way home}",
    ]),
    ("letter", &[
        "{opening}{day}{he}收到一封信，是{friend}写来的。{friend}是{a who2}，住在很远的地方。\
         信上说：“{hero}，你好！{note}你的朋友{friend}。”{hero}看了[很久|又看]。\
         {he}回信说：“{friend}，你好！{reply}你的朋友{hero}。”[{he}在信里放了一朵{color}的花。|]{end of letter}",
    ]),
    ("note", &[
        "这里下雨了，我很想你。", "我有了{one toy}新{toy}。", "今年的{fruit}很甜。", "我学会{=skill}了。",
    ]),
    ("reply", &[
        "请你[春天|夏天|秋天|冬天]来我家玩。", "我也很想你。", "谢谢你的信。", "我每天都想起你。",
    ]),
    ("end of letter", &[
        "后来，{they}见面了。", "很多年里，{they}一直写信。", "每一封信都让{him}很高兴。", "有朋友真好。",
    ]),
    ("way", &[
        "{opening}{day}{he}在森林里走得太远了。天快黑了，{hero}不知道回家的路。{sad}{comes}\
         “你家在哪里？”{friend}问。“我家在[小河边|湖边|学校后面]。”{hero}说。\
         “我知道路。”{friend}说，“[跟着那颗星星走吧|跟着小河走吧|跟我来吧]。”\
         {they}走了很久。最后，{hero}看见了窗里的灯光。{=elder}正在门口等着{him}。{thanks}{end}",
    ]),
    ("race", &[
        "{opening}{day}大家在{outing}比谁跑得快。{hero}跑得很快，{who2}{friend}跟在后面。\
         这时，{friend}倒在了地上。[{hero}听见了哭声。|{hero}往后面看了看。]{he}想：“我可以得第一了。”可是，{he}停下来，走了回去。\
         “{friend}，拉着我的手。”{hero}说。{they}是最后到的，可是大家都为{they}[唱歌|高兴]。\
         “你没有得第一。”{friend}说。“[我得到了一个朋友|有朋友更好]。”{hero}说。{end}",
    ]),
    ("echo", &[
        "{opening}{day}{he}站在山上叫：“{=call}”远远的地方也有人叫：“{=call}”\
         {hero}又叫：“{=call2}”那个声音也叫：“{=call2}”{hero}[很害怕，|]跑回了家。\
         “山里有人。”{he}对{=elder}说。{=elder}笑了：“那是你自己的声音。你说好听的话，就会听到好听的话。”\
         于是，{hero}走回山上，叫：“{=nice}”大山也说：“{=nice}”",
    ]),
    ("call", &["你好！", "你是谁？", "有人吗？"]),
    ("call2", &["你在哪里？", "快走开！", "到这里来！"]),
    ("nice", &["我喜欢你！", "你是我的朋友！", "晚上好，大山！", "你今天好吗？"]),
    ("star", &[
        "{opening}一天夜里，一颗星星从天上掉了下来。{hero}在{outside}找到了它。星星小小的，很亮。\
         “小星星，我想要{wish}。”{hero}说。“我不会做这件事。”星星说，“我找不到路了，我想回家。”\
         {hero}叫来了{friend}。{they}[把星星放在风筝上|带着星星来到最高的树上]，星星飞回了天上。从那以后，星星每天夜里都对{hero}笑。",
    ]),
    ("wish", &["{one toy}{color}的{toy}", "一百{of food}{food}", "一座海边的房子", "一匹马"]),
    ("song", &[
        "{opening}{day}{he}做了一首歌：“{=line}”{hero}唱了一整天。\
         {who2}{friend}听见了，也唱了起来：“{=line}”很快，大家都在唱：“{=line}”\
         “这首歌是谁做的？”{friend}问。“是我。”{hero}说。{end}",
    ]),
    ("line", &[
        "{color}的[小鸟|小船|风筝]，[慢慢走|去远方|在哪里]，我[唱着歌|跳着舞|天天]等着你。",
        "早上有[太阳|小雨|月亮]，夜里有[星星|大风|白雪]，请你来，和我一起[看一看|唱一唱|玩一玩]。",
    ]),
    ("moon", &[
        "{opening}一天夜里，{hero}在湖里看见了月亮。“月亮掉到水里了！”{hero}说。\
         {he}跑去找{friend}：“快，拿{something}来！我们要帮帮月亮。”{they}忙了很久，可是怎么也拿不上来。\
         {sad}后来，{friend}往天上一看，笑了：“{hero}，你看！月亮在天上呢。”[“它回家了。”{hero}说。|两个好朋友都笑了。|]{way home}",
    ]),
    ("something", &["一个篮子", "一根长木棍", "一个大盒子", "一个书包"]),
    // --- 说过的话
    ("remark", &[
        "{color}的{toy}在{place}。", "{remark food}", "我在{place}看见{a animal}。", "那{of animal}{animal}{feeling}。",
        "我们[明天|今天晚上|早上]在{place}见面。", "请把{toy}给我的[妈妈|奶奶|朋友]。",
        "{place}有[两|三|四|五]{of animal}{animal}。",
    ]),
    ("remark food", &["我想要{a food}和{a food2}。", "这{of food}{food}是给我[妈妈|奶奶|朋友]的。"]),
    ("feeling", &["很高兴", "很难过", "很累", "很饿", "睡着了", "很聪明"]),
];
